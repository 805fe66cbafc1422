// SPDX-License-Identifier: GPL-2.0
/*
 * Waits for locks of the kernel, by lock, kind and kernel stack.
 *
 * Given as defines: SLOTS (threads, a power of two), ENTRIES, FILTERED, STACKS, and those of unwind.h.
 */

#include "stacks.h"
#include "filter.h"
#include "took.h"

/* include/trace/events/lock.h: LCB_F_* */
#define SPIN 1
#define MUTEX 32

/* a wait that goes on: of a thread that sleeps by its number, of one that spins by CPU and depth */
struct contended {
    u64 start_ns; /* 0: none */
    u64 lock;
    u32 tid;
    u32 how;
};

struct lock_key {
    u64 address;
    u64 stack;
    u32 tid; /* of the idle task: 1 << 31 | CPU */
    u16 error;
    u8 kind; /* LCB_F_* */
    u8 bucket;
};

#define DEPTH 4 /* task, softirq, interrupt, NMI */

enum { NO_ENTRY, NO_SLOT, NESTED, NOT_WALKED, COUNTERS };
/* losses by cause; filled here, read by collect/contention.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_ARRAY(sleeping, struct contended, SLOTS);
struct spinning {
    struct contended at[DEPTH];
};
BPF_PERCPU_ARRAY(spinning, struct spinning, 1);
/* whether a walk is being done on this CPU: an interrupt in the middle of one must not take its place */
BPF_PERCPU_ARRAY(walking, u32, 1);

/* sums since the epoch; drained by collect/contention.py */
BPF_TABLE("hash", struct lock_key, struct took, locks_0, ENTRIES);
BPF_TABLE("hash", struct lock_key, struct took, locks_1, ENTRIES);
INLINE struct took *locks_find(bool odd, struct lock_key *key)
{
    struct took *found;
    if (odd) {
        found = locks_1.lookup(key);
        APART(found, 1);
    } else {
        found = locks_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void locks_make(bool odd, struct lock_key *key, struct took *fresh)
{
    if (odd)
        locks_1.insert(key, fresh);
    else
        locks_0.insert(key, fresh);
}
ENTRY(locks, lock_key)

INLINE void count(int cause)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += 1;
}

/* No user stack is walked here. */
INLINE int finish(void *ctx, struct walk *w)
{
    return 0;
}

int on_begin(struct bpf_raw_tracepoint_args *ctx) /* lock, how */
{
    u64 id = bpf_get_current_pid_tgid(), lock = ctx->args[0];
    u32 tid = id, pid = id >> 32, how = ctx->args[1], zero = 0, slot = tid & (SLOTS - 1);
    if (FILTERED && !wanted(pid))
        return 0;
    u64 now = bpf_ktime_get_ns();
    if ((how & SPIN) && !(how & MUTEX)) {
        struct spinning *s = spinning.lookup(&zero);
        if (!s)
            return 0;
#pragma clang loop unroll(full)
        for (int i = 0; i < DEPTH; i++) {
            struct contended *c = &s->at[i];
            if (!c->start_ns || c->lock == lock) {
                c->lock = lock;
                c->how = how;
                c->tid = tid;
                c->start_ns = now;
                return 0;
            }
        }
        s->at[0].start_ns = 0; /* ends that were missed: begin anew */
        count(NO_SLOT);
        return 0;
    }
    struct contended *c = sleeping.lookup(&slot);
    if (!c)
        return 0;
    if (c->start_ns && c->tid == tid && c->lock == lock && c->how != how) {
        c->how = how; /* a mutex is spun for, then slept for, and spun for again: that is one wait */
        return 0;
    }
    if (c->start_ns && c->tid != tid)
        count(NO_SLOT);
    c->tid = tid;
    c->lock = lock;
    c->how = how; /* the same way again: an end was missed */
    c->start_ns = now;
    return 0;
}

int on_end(struct bpf_raw_tracepoint_args *ctx) /* lock, result */
{
    u64 id = bpf_get_current_pid_tgid(), lock = ctx->args[0], begun = 0;
    u32 tid = id, pid = id >> 32, zero = 0, slot = tid & (SLOTS - 1), how = 0;
    s32 ret = ctx->args[1];
    struct spinning *s = spinning.lookup(&zero);
    struct contended *c = sleeping.lookup(&slot);
    if (!s || !c)
        return 0;
    if (c->start_ns && c->tid == tid && c->lock == lock) {
        begun = c->start_ns;
        how = c->how & ~SPIN;
        c->start_ns = 0;
    } else {
#pragma clang loop unroll(full)
        for (int i = 0; i < DEPTH; i++)
            if (!begun && s->at[i].start_ns && s->at[i].lock == lock) {
                begun = s->at[i].start_ns;
                how = s->at[i].how;
                s->at[i].start_ns = 0;
            }
    }
    if (!begun)
        return 0; /* it began before we looked */
    u64 now = bpf_ktime_get_ns(), ns = now - begun;
    u32 *busy = walking.lookup(&zero);
    struct walk *w = scratch.lookup(&zero);
    if (!busy || !w)
        return 0;
    if (*busy) {
        count(NESTED);
        return 0;
    }
    *busy = 1;
    struct lock_key key = {lock, 0, tid ? tid : 1U << 31 | bpf_get_smp_processor_id(), ret < 0 ? -ret : 0, how, bucket(ns)};
    u32 flags = 0;
    if (STACKS && may_walk(now, ns >= 100000 ? WALK_BURST_NS : 0)) {
        u64 start_ns = 0;
        u64 seed = stack_seed(&start_ns);
        begin_walk(ctx, w, pid, seed, start_ns);
        key.stack = publish(w);
        flags = w->s.flags;
    } else {
        count(NOT_WALKED);
    }
    struct took *entry = locks_entry(&key, pid, flags);
    if (entry)
        add(entry, ns);
    else
        count(NO_ENTRY);
    *busy = 0;
    return 0;
}
