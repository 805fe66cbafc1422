/* Burns CPU in THREADS threads, each DEPTH calls deep, for SECONDS of wall time. usage: burn SECONDS THREADS DEPTH
 * Prints: iterations, CPU seconds. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds;
static int depth;
static volatile uint64_t sink;

struct result {
    uint64_t iterations;
    double cpu;
};

static double clock_seconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

__attribute__((noinline)) uint64_t leaf(uint64_t x)
{
    for (int i = 0; i < 2000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

__attribute__((noinline)) uint64_t descend(int n, uint64_t x)
{
    uint64_t r = n <= 0 ? leaf(x) : descend(n - 1, x + n);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return r + 1;
}

static void *run(void *argument)
{
    struct result *r = argument;
    uint64_t x = 88172645463325252ull;
    double began = clock_seconds(CLOCK_MONOTONIC);
    do {
        for (int i = 0; i < 50; i++)
            x = descend(depth + i % 7, x);
        r->iterations += 50;
    } while (clock_seconds(CLOCK_MONOTONIC) - began < seconds);
    sink = x;
    r->cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    return 0;
}

int main(int argc, char **argv)
{
    seconds = argc > 1 ? atof(argv[1]) : 1;
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    depth = argc > 3 ? atoi(argv[3]) : 20;
    if (threads < 1 || threads > 64)
        return 2;
    pthread_t thread[64];
    struct result result[64] = {{0}};
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], 0, run, &result[i]);
    uint64_t iterations = 0;
    double cpu = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], 0);
        iterations += result[i].iterations;
        cpu += result[i].cpu;
    }
    printf("%llu %.6f\n", (unsigned long long)iterations, cpu);
    return 0;
}
