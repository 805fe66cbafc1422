/* Burns CPU in two functions, three parts to one. Prints its CPU seconds. usage: ratio SECONDS */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile uint64_t sink;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline __attribute__((always_inline)) uint64_t spin(uint64_t x, int n)
{
    for (int i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

/* asking for the frame's address makes the compiler set one up: a leaf would go without */
#define FRAME() __asm__ volatile("" ::"r"(__builtin_frame_address(0)))

__attribute__((noinline)) uint64_t three_parts(uint64_t x)
{
    FRAME();
    return spin(x, 30000);
}

__attribute__((noinline)) uint64_t one_part(uint64_t x)
{
    FRAME();
    return spin(x, 10000);
}

__attribute__((noinline)) void work(double seconds)
{
    uint64_t x = 88172645463325252ull;
    while (cpu_seconds() < seconds)
        for (int i = 0; i < 20; i++)
            x = one_part(three_parts(x));
    sink = x;
}

int main(int argc, char **argv)
{
    work(argc > 1 ? atof(argv[1]) : 1);
    printf("%.6f\n", cpu_seconds());
    return 0;
}
