/* Two threads, two mutexes, each holds what the other wants. usage: deadlock SECONDS < go
 * Prints a line once both wait, a moment after: who waits for which mutex, and since when. Leaves them after SECONDS. */
#include "truth.h"

static pthread_mutex_t account_lock = PTHREAD_MUTEX_INITIALIZER, audit_lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int tid[2];
static volatile uint64_t began[2];

NOT_INLINE static int lock_both(int own, pthread_mutex_t *first, pthread_mutex_t *second)
{
    pthread_mutex_lock(first);
    tid[own] = own_tid();
    while (!tid[!own])
        pause_ns(100000);
    pause_ns(50000000);
    began[own] = now_ns();
    int result = pthread_mutex_lock(second);
    NOT_LAST();
    return result;
}

static void *transfer(void *unused)
{
    lock_both(0, &account_lock, &audit_lock);
    return unused;
}

static void *report(void *unused)
{
    lock_both(1, &audit_lock, &account_lock);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread[2];
    wait_for_go();
    pthread_create(&thread[0], 0, transfer, 0);
    pthread_create(&thread[1], 0, report, 0);
    while (!began[0] || !began[1])
        pause_ns(100000);
    printf("{\"account\": %llu, \"audit\": %llu, \"transfer\": %d, \"report\": %d, \"began_ns\": [%llu, %llu]}\n",
           (ull)(uintptr_t)&account_lock, (ull)(uintptr_t)&audit_lock, tid[0], tid[1], (ull)began[0], (ull)began[1]);
    fflush(stdout);
    pause_ns((argc > 1 ? atof(argv[1]) : 1) * 1e9);
    _exit(0);
}
