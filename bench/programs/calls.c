/* Calls getppid COUNT times, or until SECONDS have passed: the cheapest syscall, so what is added to it stands out.
 * usage: calls COUNT [SECONDS]
 * Prints: calls made, CPU nanoseconds of them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * 1000000000ull + at.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    uint64_t wanted = strtoull(argv[1], NULL, 10), made = 0;
    uint64_t until = argc > 2 ? now_ns(CLOCK_MONOTONIC) + atof(argv[2]) * 1e9 : UINT64_MAX;
    uint64_t began = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    while (made < wanted && (made % 4096 || now_ns(CLOCK_MONOTONIC) < until)) {
        syscall(SYS_getppid);
        made++;
    }
    printf("%llu %llu\n", (unsigned long long)made,
           (unsigned long long)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - began));
    return 0;
}
