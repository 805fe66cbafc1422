// A library whose locks are named, in C++, and the last of them lies in .bss far beyond the pages of its file.
#include <pthread.h>

namespace pool {
struct Shard {
    long used;
    pthread_mutex_t lock;
};
Shard shards[4096];
static pthread_mutex_t hidden = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
} // namespace pool

extern "C" {
pthread_mutex_t exported_lock;

void say_library(void (*say)(const char *, const volatile void *)) {
    say("exported_lock", &exported_lock);
    say("pool::hidden", &pool::hidden);
    say("pool::shards", &pool::shards[4095].lock);
}
}
