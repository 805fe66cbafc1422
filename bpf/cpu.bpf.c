// SPDX-License-Identifier: GPL-2.0
/*
 * One CPU sample: a timer interrupt on each CPU walks the stack and writes a fixed-size record into a ring.
 *
 * Given as defines: those of unwind.h.
 */

#include "stacks.h"
#include "filter.h"

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

/* filled here, drained by collect/cpu.py through mmap; its size is set when it is made */
BPF_RINGBUF_OUTPUT(samples, 64);
/* samples that found no room; filled here, read by collect/cpu.py */
BPF_PERCPU_ARRAY(lost, u64, 1);

/* The stack is walked: publish it and the sample. */
INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    u64 stack = publish(w);
    struct sample *r = samples.ringbuf_reserve(sizeof(*r));
    if (!r) {
        u64 *n = lost.lookup(&zero);
        if (n)
            *n += 1;
        return 0;
    }
    r->time_ns = bpf_ktime_get_ns();
    r->stack = stack;
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
    if (!pid || !wanted(pid)) /* pid 0: idle */
        return 0;
    struct walk *w = scratch.lookup(&zero);
    if (!w)
        return 0;
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_walk(ctx, w, pid, seed, start_ns);
    walk_user(ctx, w, ctx);
    return finish(ctx, w);
}
