/* What the programs that tell their own truth share. All times are CLOCK_MONOTONIC nanoseconds unless said. */
#ifndef TRUTH_H
#define TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* a call that must stay a call, and leave its caller on the stack */
#define NOT_INLINE __attribute__((noinline, noclone))
#define NOT_LAST() __asm__ volatile("" ::: "memory")

typedef unsigned long long ull;

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline int own_tid(void)
{
    return (int)syscall(SYS_gettid);
}

static inline void pause_ns(uint64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static inline void pause_until(uint64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0) == EINTR)
        ;
}

/* The timer's slack of 50 us is a large part of a short wait. Threads that are made afterwards inherit it. */
static inline void no_slack(void)
{
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);
}

/* Nothing that counts has happened yet: somebody may attach. Goes on with a byte or the end of stdin. */
static inline void wait_for_go(void)
{
    char byte;
    while (read(0, &byte, 1) < 0 && errno == EINTR)
        ;
}

static inline void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        exit(3);
    }
}

static volatile uint64_t truth_sink;

static inline uint64_t churn(uint64_t x, int n)
{
    for (int i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    truth_sink = x;
    return x;
}

#endif
