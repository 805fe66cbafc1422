/* Sleeps 1, 10 and 100 ms by clock_nanosleep, so often each. usage: naps ONES TENS HUNDREDS < go
 * Prints: for each nap what was asked for, and how long it took, seen from outside of the call; and how often the kernel
 * put the thread to sleep in all: it does not where the time is over before it would, on a machine that stood still. */
#include "truth.h"

enum { MOST = 10000 };

static uint64_t asked[MOST], took[MOST];

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    wait_for_go();
    int n = 0;
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t ms[] = {1, 10, 100};
    for (int kind = 0; kind < 3; kind++)
        for (int i = atoi(argv[1 + kind]); i > 0 && n < MOST; i--, n++) {
            asked[n] = ms[kind] * 1000000;
            struct timespec t = {0, (long)asked[n]};
            uint64_t began = now_ns();
            clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0);
            took[n] = now_ns() - began;
        }
    getrusage(RUSAGE_THREAD, &after);
    printf("{\"naps\": [");
    for (int i = 0; i < n; i++)
        printf("%s[%llu, %llu]", i ? ", " : "", (ull)asked[i], (ull)took[i]);
    printf("], \"sleeps\": %ld}\n", after.ru_nvcsw - before.ru_nvcsw);
    return 0;
}
