/* Measures what interrupts take from a busy CPU: one thread on each CPU reads the clock without pause and adds up the
 * gaps between two readings that are too long for the code and too short for another process (1 us to 100 us).
 * In between it walks a buffer larger than the second-level cache, 30 calls deep, so that an interrupt handler meets
 * the cold caches and the deep stack of a real program. usage: gaps SECONDS
 * Prints: for all threads together, seconds watched, seconds in gaps, number of gaps. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256, LINES = 1 << 16, DEPTH = 30, SHORTEST_NS = 1000, LONGEST_NS = 100000 };

static uint64_t length_ns;

struct watch {
    int cpu;
    uint64_t watched_ns, gaps_ns, gaps;
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

__attribute__((noinline)) static void look(struct watch *w, volatile uint64_t (*lines)[8])
{
    uint64_t began = now(), last = now(), longer = 0;
    uint32_t at = 1;
    do {
        at = at * 1664525 + 1013904223;
        lines[at >> 16][0]++;
        uint64_t t = now(), gap = t - last;
        last = t;
        if (gap > LONGEST_NS)
            longer += gap;
        else if (gap > SHORTEST_NS) {
            w->gaps_ns += gap;
            w->gaps++;
        }
    } while (last - began < length_ns);
    w->watched_ns = last - began - longer;
}

__attribute__((noinline)) static void descend(int n, struct watch *w, volatile uint64_t (*lines)[8])
{
    if (n <= 0)
        look(w, lines);
    else
        descend(n - 1, w, lines);
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

static void *run(void *argument)
{
    struct watch *w = argument;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(w->cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* refused: then it moves, which is another gap */
    volatile uint64_t (*lines)[8] = calloc(LINES, sizeof *lines);
    if (lines)
        descend(DEPTH, w, lines);
    free((void *)lines);
    return 0;
}

int main(int argc, char **argv)
{
    length_ns = (argc > 1 ? atof(argv[1]) : 1) * 1e9;
    long threads = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    pthread_t thread[MAX_THREADS];
    static struct watch watch[MAX_THREADS];
    for (int i = 0; i < threads; i++) {
        watch[i].cpu = i;
        pthread_create(&thread[i], 0, run, &watch[i]);
    }
    uint64_t watched = 0, gaps_ns = 0, gaps = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], 0);
        watched += watch[i].watched_ns;
        gaps_ns += watch[i].gaps_ns;
        gaps += watch[i].gaps;
    }
    printf("%.9f %.9f %llu\n", watched / 1e9, gaps_ns / 1e9, (unsigned long long)gaps);
    return 0;
}
