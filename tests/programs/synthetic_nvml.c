/*
 * A synthetic libnvidia-ml.so.1 of two GPUs that do not exist: the real binding (nvidia-ml-py) is run over it. GPU 0 has
 * everything; GPU 1 is divided into two instances and has few things; what is not here at all is what an older driver
 * lacks. Structures are those of nvml.h (docs.nvidia.com/deploy/nvml-api). Loaded: `Synthetic GPU`, never a real name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, GPU_IS_LOST = 15 };
typedef struct { unsigned gpu, instance; } device; /* instance 0: the GPU itself */
typedef unsigned long long u64;
static device devices[2][3] = {{{0, 0}}, {{1, 0}, {1, 1}, {1, 2}}};

int nvmlInitWithFlags(unsigned flags) { return getenv("SYNTHETIC_NVML_FAILS") ? 9 /* driver not loaded */ : SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "Driver Not Loaded"; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return SUCCESS; }
int nvmlSystemGetDriverVersion(char *to, unsigned size) { snprintf(to, size, "580.0"); return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned i, device **to)
{
    if (i == 1 && getenv("SYNTHETIC_NVML_LOST"))
        return GPU_IS_LOST;
    *to = &devices[i][0];
    return SUCCESS;
}

int nvmlDeviceGetUUID(device *d, char *to, unsigned size)
{
    snprintf(to, size, "%s-synthetic-%u-%u", d->instance ? "MIG" : "GPU", d->gpu, d->instance);
    return SUCCESS;
}

int nvmlDeviceGetName(device *d, char *to, unsigned size) { snprintf(to, size, "Synthetic GPU \x1b[31m%u", d->gpu); return SUCCESS; }
int nvmlDeviceGetCudaComputeCapability(device *d, int *major, int *minor) { *major = 9, *minor = 0; return SUCCESS; }

int nvmlDeviceGetMigMode(device *d, unsigned *now, unsigned *next) { *now = *next = d->gpu; return SUCCESS; }
int nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned *n) { *n = 7; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned i, device **to)
{
    if (i > 1)
        return NOT_FOUND;
    *to = &devices[d->gpu][i + 1];
    return SUCCESS;
}
int nvmlDeviceGetGpuInstanceId(device *d, unsigned *id) { *id = 10 + d->instance; return SUCCESS; }

int nvmlDeviceGetUtilizationRates(device *d, unsigned *use)
{
    if (d->gpu)
        return NOT_SUPPORTED; /* as of a divided GPU */
    use[0] = 87, use[1] = 41;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(device *d, u64 *m)
{
    m[0] = 80ULL << 30, m[2] = (d->instance ? 10ULL : 20ULL) << 30, m[1] = m[0] - m[2];
    return SUCCESS;
}

#define ONLY_FIRST if (d->gpu) return NOT_SUPPORTED
int nvmlDeviceGetClockInfo(device *d, unsigned kind, unsigned *mhz) { ONLY_FIRST; *mhz = 1000 * kind + 755; return SUCCESS; }
int nvmlDeviceGetMaxClockInfo(device *d, unsigned kind, unsigned *mhz) { ONLY_FIRST; *mhz = 1000 * kind + 980; return SUCCESS; }
int nvmlDeviceGetPowerUsage(device *d, unsigned *mw) { ONLY_FIRST; *mw = 312500; return SUCCESS; }
int nvmlDeviceGetEnforcedPowerLimit(device *d, unsigned *mw) { ONLY_FIRST; *mw = 700000; return SUCCESS; }
int nvmlDeviceGetTotalEnergyConsumption(device *d, u64 *mj) { ONLY_FIRST; *mj = 1234567; return SUCCESS; }
int nvmlDeviceGetTemperature(device *d, unsigned sensor, unsigned *c) { ONLY_FIRST; *c = 64; return SUCCESS; }
int nvmlDeviceGetCurrPcieLinkGeneration(device *d, unsigned *n) { ONLY_FIRST; *n = 4; return SUCCESS; }
int nvmlDeviceGetMaxPcieLinkGeneration(device *d, unsigned *n) { ONLY_FIRST; *n = 5; return SUCCESS; }
int nvmlDeviceGetCurrPcieLinkWidth(device *d, unsigned *n) { ONLY_FIRST; *n = 16; return SUCCESS; }
int nvmlDeviceGetMaxPcieLinkWidth(device *d, unsigned *n) { ONLY_FIRST; *n = 16; return SUCCESS; }
int nvmlDeviceGetPcieThroughput(device *d, unsigned way, unsigned *kb) { *kb = 7 + way; return SUCCESS; }
int nvmlDeviceGetTotalEccErrors(device *d, unsigned kind, unsigned counter, u64 *n) { ONLY_FIRST; *n = kind ? 0 : 3; return SUCCESS; }
/* power cap and idle; the newer name of the call is not there */
int nvmlDeviceGetCurrentClocksThrottleReasons(device *d, u64 *bits) { ONLY_FIRST; *bits = 0x4 | 0x1; return SUCCESS; }

struct field { unsigned id, scope; long long at, took; unsigned type; int rc; union { u64 whole; unsigned ui; } value; };
int nvmlDeviceGetFieldValues(device *d, int n, struct field *f)
{
    for (int i = 0; i < n; i++)
        f[i].rc = f[i].id == 82 && !d->gpu ? SUCCESS : NOT_SUPPORTED, f[i].value.ui = 71;
    return SUCCESS;
}

struct process { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; };
int nvmlDeviceGetComputeRunningProcesses_v3(device *d, unsigned *n, struct process *to)
{
    unsigned room = *n;
    if (d->instance) {
        *n = 0;
        return SUCCESS;
    }
    ONLY_FIRST;
    *n = 2;
    if (room < 2)
        return TOO_SMALL;
    to[0] = (struct process){4242, 5ULL << 30};
    to[1] = (struct process){4343, ~0ULL}; /* NVML_VALUE_NOT_AVAILABLE */
    return SUCCESS;
}

struct use { unsigned pid; u64 at_us; unsigned sm, memory, encoder, decoder; };
int nvmlDeviceGetProcessUtilization(device *d, struct use *to, unsigned *n, u64 since_us)
{
    ONLY_FIRST;
    if (since_us)
        return NOT_FOUND; /* nothing new */
    unsigned room = *n;
    *n = 2;
    if (room < 2)
        return TOO_SMALL;
    to[0] = (struct use){4242, 900, 60, 30};
    to[1] = (struct use){4242, 800, 10, 5};
    return SUCCESS;
}

/* GPM: a sample is a count of how often it was taken */
struct support { unsigned version, is; };
int nvmlGpmQueryDeviceSupport(device *d, struct support *to) { to->is = 1; return SUCCESS; }
int nvmlGpmSampleAlloc(int **to) { *to = calloc(1, sizeof(int)); return SUCCESS; }
int nvmlGpmSampleFree(int *sample) { free(sample); return SUCCESS; }
static int taken;
int nvmlGpmSampleGet(device *d, int *sample) { ONLY_FIRST; *sample = ++taken; return SUCCESS; }
int nvmlGpmMigSampleGet(device *d, unsigned instance, int *sample) { *sample = 1000 * instance + ++taken; return SUCCESS; }
struct metric { unsigned id; int rc; double value; const char *words[3]; };
struct request { unsigned version, n; int *before, *now; struct metric metrics[]; };
int nvmlGpmMetricsGet(struct request *r)
{
    if (r->version != 1 || *r->before >= *r->now)
        return 2;
    for (unsigned i = 0; i < r->n; i++) {
        r->metrics[i].rc = r->metrics[i].id == 11 ? NOT_SUPPORTED : SUCCESS;
        r->metrics[i].value = *r->now > 1000 ? *r->now / 1000 : r->metrics[i].id + 0.5;
    }
    return SUCCESS;
}
