/* What every program of known stack is made of. A program's first argument says for how many seconds it runs. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* The compiler must neither inline, clone, merge nor reorder it: the stack is then as the source says. */
#define KNOWN __attribute__((noipa))

static volatile uint64_t sink;
static double ends;

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void begin(int count, char **arguments) { ends = now() + (count > 1 ? atof(arguments[1]) : 1); }

/* A microsecond or so for n = 1000, within the function that says it. */
static inline __attribute__((always_inline)) uint64_t spin(uint64_t x, int n)
{
    for (int i = 0; i < n; i++)
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    return x;
}
