/* A mutex that is always taken when a thread comes to it. usage: mutexes THREADS HOLD_US ROUNDS < go
 *
 * Each thread holds the mutex for HOLD_US, and comes again at once. But nobody comes in the second half of a hold, nor
 * before the next one has it: so who waits is never overtaken, and waits once, however late the machine lets it run.
 * Each thread measures its own waits, around pthread_mutex_lock, when pthread_mutex_trylock has failed.
 * Prints: the address of the mutex; of each thread its tid, how often and how long it waited. */
#include "truth.h"

enum { MOST_THREADS = 64 };

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t hold_ns;
static int rounds;
static int open_now = 1, waiting; /* atomic: whether one may come; how many wait */

struct waited {
    int tid;
    uint64_t waits, ns;
};

NOT_INLINE static void take_the_table(struct waited *own)
{
    while (!__atomic_load_n(&open_now, __ATOMIC_SEQ_CST))
        pause_ns(20000);
    if (pthread_mutex_trylock(&table_lock) == 0)
        return;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    uint64_t from = now_ns();
    pthread_mutex_lock(&table_lock);
    own->ns += now_ns() - from;
    own->waits++;
    __atomic_sub_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
}

NOT_INLINE static void work_on_the_table(struct waited *own)
{
    take_the_table(own);
    __atomic_store_n(&open_now, 1, __ATOMIC_SEQ_CST);
    pause_ns(hold_ns / 2);
    __atomic_store_n(&open_now, 0, __ATOMIC_SEQ_CST);
    pause_ns(hold_ns / 2);
    int next = __atomic_load_n(&waiting, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&table_lock);
    if (!next)
        __atomic_store_n(&open_now, 1, __ATOMIC_SEQ_CST);
}

static void *run(void *argument)
{
    struct waited *own = argument;
    own->tid = own_tid();
    for (int i = 0; i < rounds; i++)
        work_on_the_table(own);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int threads = atoi(argv[1]);
    hold_ns = atoll(argv[2]) * 1000;
    rounds = atoi(argv[3]);
    if (threads < 1 || threads > MOST_THREADS)
        return 2;
    no_slack();
    wait_for_go();
    pthread_t thread[MOST_THREADS];
    struct waited waited[MOST_THREADS] = {{0}};
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], 0, run, &waited[i]);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], 0);
    printf("{\"address\": %llu, \"threads\": [", (ull)(uintptr_t)&table_lock);
    for (int i = 0; i < threads; i++)
        printf("%s{\"tid\": %d, \"waits\": %llu, \"ns\": %llu}", i ? ", " : "", waited[i].tid, (ull)waited[i].waits,
               (ull)waited[i].ns);
    printf("]}\n");
    return 0;
}
