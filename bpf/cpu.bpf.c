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

/* Publish the stack and the sample. */
INLINE int give(struct walk *w, u64 now)
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
    r->time_ns = now;
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

#if UNWIND_ROWS

#define PAGE 4096
#define COPY_PAGES 4

/* the innermost part of a user stack, as it was in memory, with the registers: to be walked when tables are at hand */
struct copy {
    u64 time_ns; /* those of the sample */
    u32 tid;
    u32 bytes;
    u64 ip, sp, bp;
    u8 memory[20480]; /* (COPY_PAGES + 1) * PAGE: the first page begins where the stack does */
};

/* filled here, drained by collect/unwind/copied.py; its size is set when it is made */
BPF_RINGBUF_OUTPUT(copies, 64);
/* room for one on each CPU */
BPF_PERCPU_ARRAY(copying, struct copy, 1);
/* copies that found no room; filled here, read by collect/unwind/copied.py */
BPF_PERCPU_ARRAY(copies_lost, u64, 1);

/* Whether the walk would have been a whole one a little later: the process, or what it has just mapped, has no tables
 * yet. Not of one that is put off because nothing new was found the last time. */
INLINE bool is_too_early(struct walk *w)
{
    u32 stop = w->s.flags & STOP_BITS, pid = w->s.pid;
    if (stop != NO_MAPPING)
        return stop == NO_TABLES && w->s.flags & FRAME_POINTERS;
    u64 *after = unwind_asked.lookup(&pid);
    return !after || *after < bpf_ktime_get_ns() + ASK_NS;
}

/* Copy the stack, as far as it reaches, but less than COPY_PAGES. */
INLINE void copy_stack(void *ctx, struct walk *w, u64 now)
{
    int zero = 0;
    struct copy *c = copying.lookup(&zero);
    if (!c || take_registers(w, ctx) == USER32_CS)
        return;
    u32 first = PAGE - (w->sp & (PAGE - 1)), n = first;
    if (read_user(c->memory, first & (2 * PAGE - 1), (void *)w->sp))
        return;
#pragma clang loop unroll(full)
    for (int i = 0; i < COPY_PAGES - 1; i++) {
        u32 bytes = i < COPY_PAGES - 2 ? PAGE : PAGE - 8; /* so that the size of all can be masked */
        if (read_user(c->memory + (first & (2 * PAGE - 1)) + i * PAGE, bytes, (void *)(w->sp + first + i * PAGE)))
            break;
        n += bytes;
    }
    c->time_ns = now;
    c->tid = bpf_get_current_pid_tgid();
    c->bytes = n;
    c->ip = w->ip;
    c->sp = w->sp;
    c->bp = w->bp;
    u64 *missed = copies_lost.lookup(&zero);
    u64 size = __builtin_offsetof(struct copy, memory) + (n & (COPY_PAGES * PAGE - 1));
    if (copies.ringbuf_output(c, size, NO_WAKEUP) && missed)
        *missed += 1;
}

/* Tail: the sample, and before it, so that whoever reads the sample finds it, the copy of its stack. */
int copy(void *ctx)
{
    int zero = 0;
    struct walk *w = scratch.lookup(&zero);
    if (!w)
        return 0;
    u64 now = bpf_ktime_get_ns();
    copy_stack(ctx, w, now);
    return give(w, now);
}

#endif

/* The stack is walked. */
INLINE int finish(void *ctx, struct walk *w)
{
#if UNWIND_ROWS
    if (is_too_early(w))
        tails.call(ctx, TAIL_COPY);
#endif
    return give(w, bpf_ktime_get_ns());
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
