// SPDX-License-Identifier: GPL-2.0
/*
 * One CPU sample: a timer interrupt on each CPU writes a fixed-size record into a ring, and the stack's addresses
 * into a second ring the first time that stack is seen.
 *
 * Given as defines, from BTF: TASK_GROUP_LEADER, TASK_START_BOOTTIME, TASK_SELF_EXEC_ID, TASK_TGID (offsets in
 * task_struct).
 */

#define MAX_FRAMES 127 /* of the user and of the kernel stack; kernel.perf_event_max_stack is 127 by default */
#define NO_WAKEUP 1    /* BPF_RB_NO_WAKEUP: the reader comes by a timer; wakeups were seen to bias the samples */
#define USER_STACK 256 /* BPF_F_USER_STACK */

/* bits of a sample's flags: profile.kinds.Flag */
#define KERNEL_MODE 1
#define TRUNCATED 2
#define NO_USER_STACK 4

struct sample {
    u64 time_ns; /* CLOCK_MONOTONIC */
    u64 stack;   /* hash: the stack, the process and its exec; 0: there is no stack */
    u64 start_ns; /* of the process, CLOCK_BOOTTIME */
    u32 pid;
    u32 tid;
    u32 cpu;
    u32 flags;
    char comm[16]; /* the thread's name */
};

struct stack {
    u64 hash;
    u64 start_ns;
    u32 pid;
    u16 user; /* the first `user` addresses are the user stack, leaf first; then `kernel` of the kernel's */
    u16 kernel;
    u64 address[2 * MAX_FRAMES + 2];
};

struct config {
    u64 salt; /* changed by the reader when it has forgotten the stacks it knew */
    u32 by_pid;
    u32 cgroups;
};

enum { LOST_SAMPLE, LOST_STACK, LOST_PID, COUNTERS };

/* filled here, drained by collect/cpu.py through mmap; sizes are set when the maps are made */
BPF_RINGBUF_OUTPUT(samples, 64);
BPF_RINGBUF_OUTPUT(stacks, 256);
/* hashes whose stack has been written; filled here, never drained: the oldest make room */
BPF_TABLE("lru_hash", u64, u8, known, 16384);
/* room for one stack per CPU */
BPF_PERCPU_ARRAY(scratch, struct stack, 1);
/* losses by cause; filled here, read by collect/cpu.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* filters; filled by collect/cpu.py, pids also by fork and exit below */
BPF_ARRAY(config, struct config, 1);
BPF_HASH(pids, u32, u8, 16384);
BPF_CGROUP_ARRAY(cgroups, 8);

static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;

static inline void count(int cause)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += 1;
}

static inline bool wanted(struct config *c, u32 pid)
{
    if (c->by_pid && !pids.lookup(&pid))
        return false;
    if (!c->cgroups)
        return true;
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++)
        if (i < c->cgroups && cgroups.check_current_task(i) == 1)
            return true;
    return false;
}

static inline u64 hash_of(struct stack *s, u64 h, u32 n)
{
    asm volatile("" : "+r"(n)); /* the compiler must not know n's range, or it drops the bound that the verifier needs */
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < 2 * MAX_FRAMES; i++) {
        if (i >= n)
            break;
        h = (h ^ s->address[i]) * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 29;
    }
    return h ? h : 1;
}

/* Both stacks into the scratch room, back to back -> flags. */
static inline u32 walk(void *ctx, struct stack *s)
{
    u32 flags = 0;
    long bytes = bpf_get_stack(ctx, s->address, MAX_FRAMES * 8, USER_STACK);
    u32 user = bytes > 0 ? bytes >> 3 : 0;
    if (bytes < 0)
        flags |= NO_USER_STACK;
    if (user >= MAX_FRAMES)
        flags |= TRUNCATED;
    s->user = user;
    bytes = bpf_get_stack(ctx, &s->address[user & 127], MAX_FRAMES * 8, 0);
    u32 kernel = bytes > 0 ? bytes >> 3 : 0;
    if (kernel)
        flags |= KERNEL_MODE;
    if (kernel >= MAX_FRAMES)
        flags |= TRUNCATED;
    s->kernel = kernel;
    return flags;
}

/* The process's start, and a number that tells its execs apart. */
static inline u64 identity(u64 *start_ns)
{
    char *task = (char *)bpf_get_current_task();
    char *leader = 0;
    u64 exec = 0;
    read_kernel(&leader, sizeof(leader), task + TASK_GROUP_LEADER);
    read_kernel(start_ns, sizeof(*start_ns), leader + TASK_START_BOOTTIME);
    read_kernel(&exec, sizeof(exec), task + TASK_SELF_EXEC_ID);
    return *start_ns * 31 + exec;
}

static inline void publish(struct stack *s, u32 n)
{
    u8 one = 1;
    if (known.lookup(&s->hash))
        return;
    u64 size = 24 + ((u64)(n & 255) << 3);
    if (stacks.ringbuf_output(s, size, NO_WAKEUP)) {
        count(LOST_STACK);
        return;
    }
    known.update(&s->hash, &one);
}

int sample(void *ctx)
{
    int zero = 0;
    u64 id = bpf_get_current_pid_tgid();
    u32 pid = id >> 32;
    if (!pid)
        return 0; /* idle */
    struct config *c = config.lookup(&zero);
    struct stack *s = scratch.lookup(&zero);
    if (!c || !s || !wanted(c, pid))
        return 0;

    u64 start_ns = 0;
    u64 seed = c->salt ^ identity(&start_ns) ^ ((u64)pid << 32);
    u32 flags = walk(ctx, s);
    u32 n = s->user + s->kernel;
    s->pid = pid;
    s->start_ns = start_ns;
    s->hash = n ? hash_of(s, seed ^ s->user, n) : 0;
    if (n)
        publish(s, n);

    struct sample *r = samples.ringbuf_reserve(sizeof(*r));
    if (!r) {
        count(LOST_SAMPLE);
        return 0;
    }
    r->time_ns = bpf_ktime_get_ns();
    r->stack = s->hash;
    r->start_ns = start_ns;
    r->pid = pid;
    r->tid = id;
    r->cpu = bpf_get_smp_processor_id();
    r->flags = flags;
    bpf_get_current_comm(&r->comm, sizeof(r->comm));
    samples.ringbuf_submit(r, NO_WAKEUP);
    return 0;
}

/* Attached with a pid filter only: what a wanted process starts is wanted as well. */
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0;
    u8 one = 1;
    if (!pids.lookup(&parent))
        return 0;
    read_kernel(&child, sizeof(child), (char *)ctx->args[1] + TASK_TGID);
    if (child != parent && pids.update(&child, &one))
        count(LOST_PID);
    return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    u32 pid = id >> 32;
    if (pid == (u32)id)
        pids.delete(&pid);
    return 0;
}
