// SPDX-License-Identifier: GPL-2.0
/*
 * What the scheduler's wakes tell: now and then who woke whom, and where; and where the scheduler does not tell, when.
 *
 * Given as defines: SLOTS, ENTRIES (room in the tables), and those of unwind.h. Shares its maps with bpf/offcpu.bpf.c,
 * but for its tables: a program of another type can have no tail calls in common with that.
 */

#include "stacks.h"
#include "took.h"
#include "off.h"

struct wake_key {
    u64 stack;
    u32 tid;
    u32 woken;
};

/* sums since the epoch, of who ended waits; drained by collect/offcpu.py */
BPF_TABLE("hash", struct wake_key, struct took, wakes_0, ENTRIES);
BPF_TABLE("hash", struct wake_key, struct took, wakes_1, ENTRIES);
INLINE struct took *wakes_find(bool odd, struct wake_key *key)
{
    struct took *found;
    if (odd) {
        found = wakes_1.lookup(key);
        APART(found, 1);
    } else {
        found = wakes_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void wakes_make(bool odd, struct wake_key *key, struct took *fresh)
{
    if (odd)
        wakes_1.insert(key, fresh);
    else
        wakes_0.insert(key, fresh);
}
ENTRY(wakes, wake_key)

/* whom the thread wakes whose stack is walked */
BPF_PERCPU_ARRAY(waking, u32, 1);
/* wakes that are looked at */
BPF_PERCPU_ARRAY(wake_draw, struct draw, 1);
#define WAKES_EVERY 16

INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    u32 *woken = waking.lookup(&zero);
    if (!woken)
        return 0;
    struct wake_key key = {publish(w), (u32)bpf_get_current_pid_tgid(), *woken};
    struct took *entry = wakes_entry(&key, w->s.pid, w->s.flags);
    if (entry)
        entry->n++;
    else
        count(NO_ENTRY, 1);
    return 0;
}

/* The current thread wakes another one. */
int on_waking(struct bpf_raw_tracepoint_args *ctx)
{
    int zero = 0;
    struct draw *d = wake_draw.lookup(&zero);
    u32 *woken = waking.lookup(&zero);
    struct walk *w = scratch.lookup(&zero);
    if (!d || !woken || !w || !is_drawn(d, WAKES_EVERY))
        return 0;
    u64 now = bpf_ktime_get_ns();
    u32 pid = bpf_get_current_pid_tgid() >> 32, tid = 0;
    read_kernel(&tid, sizeof(tid), (char *)ctx->args[0] + TASK_PID);
    u32 slot = tid & (SLOTS - 1);
    struct off *off = off_slots.lookup(&slot);
    if (!pid || !off || off->tid != tid || !may_walk(now, 0))
        return 0; /* an interrupt of the idle task, or nobody that is watched */
    *woken = tid;
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_walk(ctx, w, pid, seed, start_ns);
    walk_user(ctx, w, 0);
    return finish(ctx, w);
}

/* A thread is on a run queue again: attached only where the scheduler does not tell. */
int on_wakeup(struct bpf_raw_tracepoint_args *ctx)
{
    u32 tid = 0;
    read_kernel(&tid, sizeof(tid), (char *)ctx->args[0] + TASK_PID);
    u32 slot = tid & (SLOTS - 1);
    struct off *off = off_slots.lookup(&slot);
    if (off && off->tid == tid && off->out_ns)
        off->woken_ns = bpf_ktime_get_ns();
    return 0;
}
