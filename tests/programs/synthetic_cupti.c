/* A synthetic libcupti.so.13: no GPU, no CUDA. Work is "launched" by synthetic_launch and synthetic_copy, which write the
 * records that were switched on into buffers that the client's callbacks give, as the real one does: under one lock, the
 * full ones given back by a thread of its own. Layouts are those of tests/collect/gpu/synthetic_cupti/cupti. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;
enum { MEMCPY = 1, MEMSET = 2, DRIVER = 4, RUNTIME = 5, KERNEL = 10, OVERHEAD = 17, UNKNOWN = 60, KINDS = 64 };

struct kernel {
    u32 kind, registers_per_thread;
    u64 start, end, name, graph_node_id;
    u32 device_id, context_id, stream_id, correlation_id, graph_id;
    u32 grid[3], block[3], static_shared, dynamic_shared, unused;
};
struct copy {
    u32 kind;
    uint8_t copy_kind, src_kind, dst_kind, flags;
    u64 bytes, start, end;
    u32 device_id, context_id, stream_id, correlation_id;
};
struct call {
    u32 kind, cbid;
    u64 start, end;
    u32 process_id, thread_id, correlation_id, return_value;
};
struct overhead {
    u32 kind, overhead_kind;
    u64 start, end;
};
struct other {
    u32 kind, unused;
};
static const size_t sizes[KINDS] = {
    [MEMCPY] = sizeof(struct copy), [DRIVER] = sizeof(struct call), [RUNTIME] = sizeof(struct call),
    [OVERHEAD] = sizeof(struct overhead), [KERNEL] = sizeof(struct kernel), [UNKNOWN] = sizeof(struct other),
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static void (*requested)(uint8_t **, size_t *, size_t *);
static void (*completed)(void *, u32, uint8_t *, size_t, size_t);
static uint8_t *buffer;
static size_t size, used;
static u32 on[KINDS], correlation, has_worker, flushes, flushed;
static u64 dropped;
static uint8_t silent[KINDS][1024]; /* calls of a kind that are left out, by number */
static struct kernel late[1 << 17]; /* launched, and not done before their end */
static u32 n_late;

static u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void give_back(void)
{
    if (buffer)
        completed(0, 0, buffer, size, used);
    buffer = 0;
}

static void put(const void *record)
{
    u32 kind = *(const u32 *)record;
    if (!on[kind] || !requested)
        return;
    if ((kind == DRIVER || kind == RUNTIME) && silent[kind][((const struct call *)record)->cbid & 1023])
        return;
    if (buffer && used + sizes[kind] > size)
        give_back();
    if (!buffer) {
        size_t most;
        used = 0;
        requested(&buffer, &size, &most);
    }
    if (!buffer) {
        dropped++;
        return;
    }
    memcpy(buffer + used, record, sizes[kind]);
    used += sizes[kind];
}

static void *work(void *unused)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (flushed == flushes)
            pthread_cond_wait(&changed, &lock);
        give_back(); /* under the lock, as the real one */
        flushed = flushes;
        pthread_cond_broadcast(&changed);
    }
    return unused;
}

int cuptiActivityRegisterCallbacks(void *r, void *c)
{
    pthread_mutex_lock(&lock);
    requested = r;
    completed = c;
    if (!has_worker) {
        pthread_t thread;
        has_worker = 1;
        pthread_create(&thread, 0, work, 0);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int cuptiActivityGetNextRecord(uint8_t *from, size_t valid, void **record)
{
    uint8_t *at = *record ? (uint8_t *)*record + sizes[*(u32 *)*record] : from;
    if (at >= from + valid)
        return 12; /* CUPTI_ERROR_MAX_LIMIT_REACHED */
    *record = at;
    return 0;
}

int synthetic_enable(u32 kind, u32 to)
{
    pthread_mutex_lock(&lock);
    on[kind] = to;
    memset(silent[kind], 0, sizeof(silent[kind]));
    pthread_mutex_unlock(&lock);
    return 0;
}

/* as CUPTI 13.0 does it (seen on an H200): one call can be left out of a kind that is on, and put back; with its kind off
 * it stays untold */
int synthetic_switch(u32 kind, u32 cbid, u32 to)
{
    pthread_mutex_lock(&lock);
    silent[kind][cbid & 1023] = !to;
    pthread_mutex_unlock(&lock);
    return 0;
}

int synthetic_flush(void)
{
    pthread_mutex_lock(&lock);
    u32 kept = 0;
    for (u32 i = 0; i < n_late; i++)
        if (late[i].end <= now_ns())
            put(&late[i]);
        else
            late[kept++] = late[i];
    n_late = kept;
    u32 mine = ++flushes;
    pthread_cond_broadcast(&changed);
    while (has_worker && (int32_t)(flushed - mine) < 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Another profiler of the process: it registers its own callbacks, has kernels recorded, and switches that off again.
 * What was written into a buffer of the one before comes to it as well, and is of no use to it. */
static uint8_t theirs[1 << 20];
static u64 seen_by_other;

static void other_requested(uint8_t **data, size_t *n, size_t *most)
{
    *data = theirs;
    *n = sizeof(theirs);
    *most = 0;
}

static void other_completed(void *context, u32 stream, uint8_t *data, size_t n, size_t valid)
{
    (void)context, (void)stream, (void)n;
    for (size_t at = 0; data == theirs && at < valid; at += sizes[*(u32 *)(data + at)])
        seen_by_other += *(u32 *)(data + at) == KERNEL;
}

void synthetic_other_begins(void)
{
    cuptiActivityRegisterCallbacks(other_requested, other_completed);
    synthetic_enable(KERNEL, 1);
}

u64 synthetic_other_ends(void)
{
    pthread_mutex_lock(&lock);
    on[KERNEL] = 0;
    give_back();
    u64 n = seen_by_other;
    seen_by_other = 0;
    pthread_mutex_unlock(&lock);
    return n;
}

u64 synthetic_now(void) { return now_ns(); }
u64 synthetic_dropped(void) { return dropped; }
u32 synthetic_is_on(u32 kind) { return on[kind]; }

static __thread u64 began, ended; /* the next call, if it was told; the last one */
void synthetic_begin(void) { began = now_ns(); } /* of the next call: it ends when it is told */

static u32 called(u32 kind, u32 cbid)
{
    ended = now_ns();
    struct call c = {kind, cbid, began ? began : ended - 2000, ended, getpid(), syscall(SYS_gettid), ++correlation, 0};
    began = 0;
    put(&c);
    return correlation;
}

/* The kernel ends when its call does. graph: 0 is none. -> the launch's correlation */
u32 synthetic_launch(const char *name, u32 grid, u32 block, u32 registers, u32 shared, u64 ns, u32 stream, u32 graph)
{
    pthread_mutex_lock(&lock);
    u32 which = called(RUNTIME, graph ? 311 : 211);
    struct kernel k = {KERNEL, registers, ended - ns, 0, (u64)name, graph ? 77 : 0, 0, 1, stream, which, graph,
                       {grid, 1, 1}, {block, 1, 1}, 0, shared, 0};
    k.end = k.start + ns;
    for (u32 i = 0; i < (graph ? 3 : 1); i++)
        put(&k);
    pthread_mutex_unlock(&lock);
    return which;
}

/* n launches, each of a kernel that is done so much later */
void synthetic_launch_late(const char *name, u32 n, u64 later_ns, u64 ns)
{
    pthread_mutex_lock(&lock);
    for (; n; n--) {
        u32 which = called(RUNTIME, 211);
        struct kernel k = {KERNEL, 16, now_ns() + later_ns, 0, (u64)name, 0, 0, 1, 7, which, 0, {1, 1, 1}, {32, 1, 1}, 0, 0, 0};
        k.end = k.start + ns;
        if (on[KERNEL] && n_late < 1 << 17)
            late[n_late++] = k;
    }
    pthread_mutex_unlock(&lock);
}

/* one that the driver alone is called for */
void synthetic_launch_by_driver(const char *name, u64 ns)
{
    pthread_mutex_lock(&lock);
    u32 which = called(DRIVER, 307);
    struct kernel k = {KERNEL, 16, ended - ns, ended, (u64)name, 0, 0, 1, 7, which, 0, {1, 1, 1}, {32, 1, 1}, 0, 0, 0};
    put(&k);
    pthread_mutex_unlock(&lock);
}

void synthetic_copy(u32 direction, u32 host, u64 bytes, u64 ns)
{
    pthread_mutex_lock(&lock);
    u32 which = called(RUNTIME, 41);
    struct copy c = {MEMCPY, direction, direction == 1 ? host : 3, direction == 1 ? 3 : host, 1, bytes, now_ns() - ns, 0,
                     0, 1, 7, which};
    c.end = c.start + ns;
    put(&c);
    pthread_mutex_unlock(&lock);
}

/* a call that gives no work, a launch by the driver alone, a record of a kind that nobody knows, one without a time */
void synthetic_others(void)
{
    pthread_mutex_lock(&lock);
    called(RUNTIME, 10);
    called(DRIVER, 307);
    struct other o = {UNKNOWN, 0};
    put(&o);
    struct kernel k = {KERNEL, 0, 0, 0, (u64) "without_a_time", 0, 0, 1, 7, correlation};
    put(&k);
    struct overhead own = {OVERHEAD, 2 << 16, now_ns() - 1500, 0}, of_driver = {OVERHEAD, 1, now_ns() - 1000000, 0};
    own.end = own.start + 1500;
    of_driver.end = of_driver.start + 1000000;
    put(&own);
    put(&of_driver);
    pthread_mutex_unlock(&lock);
}
