/* Gives work to a driver that it loads, so much of each kind, as CUDA's runtime does: by dlopen and dlsym.
 * usage: launches LIBRARY N [THREADS [PAUSE_US]] < go      PAUSE_US: between launches
 * Prints: how often it called each function, in all threads; the time of a launch, ns. */
#include "truth.h"
#include <dlfcn.h>

typedef struct { unsigned gx, gy, gz, bx, by, bz, shared; void *stream; void *attributes; unsigned n; } config;
static int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
static int (*launch_ptsz)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
static int (*launch_ex)(const config *, void *, void **, void **);
static int (*graph)(void *, void *), (*to_device)(ull, const void *, size_t), (*to_host)(void *, ull, size_t, void *);
static int (*peer)(ull, void *, ull, void *, size_t), (*fill)(ull, unsigned, size_t), (*wait_for)(void);
static long n, pause_us;
static uint64_t launch_ns;

static NOT_INLINE void training_step(void)
{
    launch((void *)0x1000, 64, 2, 1, 256, 1, 1, 1024, 0, 0, 0);
    NOT_LAST();
}

static NOT_INLINE void reduction(void)
{
    config c = {7, 1, 1, 32, 4, 2, 2048};
    launch_ex(&c, (void *)0x2000, 0, 0);
    NOT_LAST();
}

static void *work(void *unused)
{
    char host[8];
    uint64_t began = now_ns();
    for (long i = 0; i < n; i++) {
        training_step();
        if (pause_us)
            pause_ns(1000ull * pause_us);
    }
    launch_ns = (now_ns() - began) / (n ? n : 1);
    for (long i = 0; i < n / 2; i++)
        reduction();
    for (long i = 0; i < n / 4; i++) {
        to_device(1, host, 4096);
        to_host(host, 1, 65536, 0);
        fill(1, 0, 1000);
        peer(1, 0, 2, 0, 123456);
        launch_ptsz((void *)0x1000, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0);
        graph(0, 0);
        wait_for();
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    n = atol(argv[2]);
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    pause_us = argc > 4 ? atol(argv[4]) : 0;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library || threads < 1 || threads > 64)
        return 3;
#define FIND(to, name) to = dlsym(library, name)
    FIND(launch, "cuLaunchKernel"), FIND(launch_ptsz, "cuLaunchKernel_ptsz"), FIND(launch_ex, "cuLaunchKernelEx");
    FIND(graph, "cuGraphLaunch"), FIND(to_device, "cuMemcpyHtoD_v2"), FIND(to_host, "cuMemcpyDtoHAsync_v2");
    FIND(peer, "cuMemcpyPeer"), FIND(fill, "cuMemsetD32_v2"), FIND(wait_for, "cuCtxSynchronize");
    wait_for_go();
    pthread_t thread[64];
    for (int i = 1; i < threads; i++)
        pthread_create(&thread[i], 0, work, 0);
    work(0);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], 0);
    long each = n / 4 * threads;
    printf("{\"launch\": %ld, \"launch_ex\": %ld, \"each\": %ld, \"launch_ns\": %llu}\n", n * threads, n / 2 * threads, each,
           (ull)launch_ns);
    return 0;
}
