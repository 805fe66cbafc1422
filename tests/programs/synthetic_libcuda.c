/* A synthetic libcuda.so.1: the entries that launch and copy, with the arguments of cuda.h, and nothing behind them. No
 * GPU is involved: what is tested over it is how calls are seen, counted and read. */
#include <stddef.h>
#include <string.h>

typedef struct { unsigned gx, gy, gz, bx, by, bz, shared; void *stream; void *attributes; unsigned n; } config;
#define ENTRY __attribute__((noinline)) int
#define NOTHING { __asm__ volatile("" ::: "memory"); return 0; }

ENTRY cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                     unsigned shared, void *stream, void **parameters, void **extra) NOTHING
ENTRY cuLaunchKernel_ptsz(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, void *stream, void **parameters, void **extra) NOTHING
ENTRY cuLaunchKernelEx(const config *c, void *f, void **parameters, void **extra) NOTHING
ENTRY cuGraphLaunch(void *graph, void *stream) NOTHING
ENTRY cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) NOTHING
ENTRY cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) NOTHING
ENTRY cuMemcpyPeer(unsigned long long to, void *its, unsigned long long from, void *whose, size_t bytes) NOTHING
ENTRY cuMemsetD32_v2(unsigned long long to, unsigned value, size_t n) NOTHING
ENTRY cuCtxSynchronize(void) NOTHING

/* one GPU of capability 9.0 with 64 warps a multiprocessor; of other facts nothing is known (CUDA_ERROR_INVALID_VALUE) */
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? 9 : attribute == 39 ? 2048 : 0;
    return device || (attribute != 75 && attribute != 76 && attribute != 39);
}
int cuDeviceGetUuid_v2(char *uuid, int device)
{
    memcpy(uuid, "synthetic-gpu-0", 16);
    return device;
}
