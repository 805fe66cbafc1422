// SPDX-License-Identifier: GPL-2.0
/*
 * One CPU sample: a timer interrupt on each CPU writes a fixed-size record into a ring, and the stack's addresses
 * into a second ring the first time that stack is seen.
 *
 * Given as defines: those of unwind.h, and TASK_TGID (offset in task_struct).
 */

#include "unwind.h"

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
/* losses by cause; filled here, read by collect/cpu.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* filters; filled by collect/cpu.py, pids also by fork and exit below */
BPF_ARRAY(config, struct config, 1);
BPF_HASH(pids, u32, u8, 16384);
BPF_CGROUP_ARRAY(cgroups, 8);

INLINE void count(int cause)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += 1;
}

INLINE bool wanted(struct config *c, u32 pid)
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

INLINE void publish(struct stack *s, u32 n)
{
    u8 one = 1;
    if (known.lookup(&s->hash))
        return;
    u64 size = 32 + ((u64)(n & (WORDS - 1)) << 3);
    if (stacks.ringbuf_output(s, size, NO_WAKEUP)) {
        count(LOST_STACK);
        return;
    }
    known.update(&s->hash, &one);
}

/* The stack is walked: publish it and the sample. */
INLINE int finish(void *ctx, struct walk *w)
{
    if (w->n) {
        w->s.hash = w->s.hash ? w->s.hash : 1;
        publish(&w->s, w->n);
    } else {
        w->s.hash = 0;
    }
    u32 stop = w->s.flags & STOP_BITS;
    if (stop >= NO_MAPPING && stop <= STUCK && stop != TOO_DEEP)
        ask(w->s.pid, NO_MAPPING); /* what went astray may be a mapping that another one has taken the place of */
    struct sample *r = samples.ringbuf_reserve(sizeof(*r));
    if (!r) {
        count(LOST_SAMPLE);
        return 0;
    }
    r->time_ns = bpf_ktime_get_ns();
    r->stack = w->s.hash;
    r->start_ns = w->s.start_ns;
    r->pid = w->s.pid;
    r->tid = bpf_get_current_pid_tgid();
    r->cpu = bpf_get_smp_processor_id();
    r->flags = w->s.flags;
    bpf_get_current_comm(&r->comm, sizeof(r->comm));
    samples.ringbuf_submit(r, NO_WAKEUP);
    return 0;
}

int sample(void *ctx)
{
    int zero = 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (!pid)
        return 0; /* idle */
    struct config *c = config.lookup(&zero);
    struct walk *w = scratch.lookup(&zero);
    if (!c || !w || !wanted(c, pid))
        return 0;
    u64 start_ns = 0;
    u64 seed = c->salt ^ identity(&start_ns);
    begin_walk(ctx, w, pid, seed, start_ns);
    walk_user(ctx, w, ctx);
    return finish(ctx, w);
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
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (is_last_thread())
        pids.delete(&pid);
    return 0;
}
