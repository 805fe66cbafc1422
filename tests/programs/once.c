/* Threads that do not come back to the scheduler. usage: once SECONDS < go
 *
 * One blocks in read, once and for ever. One sleeps SECONDS, and then spins for 1.2 s without giving up its CPU, the
 * last one: it is a real-time thread where that is allowed, so nobody takes its CPU either (but the kernel, for 50 ms
 * of each second).
 * Prints at once who they are and since when they block; ends with the spinning. */
#include "truth.h"

static int nobody[2];
static double seconds;
static volatile int forever_tid, spinner_tid, real_time;
static volatile uint64_t forever_began, spinner_began;

NOT_INLINE static void *wait_for_ever(void *unused)
{
    char byte;
    forever_tid = own_tid();
    forever_began = now_ns();
    return read(nobody[0], &byte, 1) < 0 ? 0 : unused;
}

NOT_INLINE static void *sleep_once(void *unused)
{
    struct sched_param first = {.sched_priority = 1};
    pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
    real_time = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    spinner_tid = own_tid();
    uint64_t from = spinner_began = now_ns();
    pause_until(from + seconds * 1e9);
    while (now_ns() < from + seconds * 1e9 + 1.2e9)
        churn(from, 1000);
    return unused;
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? atof(argv[1]) : 1;
    pthread_t thread[2];
    if (pipe(nobody))
        return 3;
    wait_for_go();
    pthread_create(&thread[0], 0, wait_for_ever, 0);
    pthread_create(&thread[1], 0, sleep_once, 0);
    while (!forever_began || !spinner_began)
        pause_ns(100000);
    printf("{\"forever\": %d, \"forever_began_ns\": %llu, \"spinner\": %d, \"spinner_began_ns\": %llu, "
           "\"real_time\": %d}\n",
           forever_tid, (ull)forever_began, spinner_tid, (ull)spinner_began, real_time);
    fflush(stdout);
    pthread_join(thread[1], 0);
    _exit(0);
}
