// SPDX-License-Identifier: GPL-2.0
/*
 * Time off the CPU: at each switch the thread that leaves is noted with the time and, as often as that is cheap, with
 * its stack; the thread that comes has its wait summed: blocked until it was woken, then runnable.
 *
 * Given as defines: SLOTS (threads, a power of two), ENTRIES, FILTERED, STACKS (0: none are taken), MIN_NS (shorter waits
 * are counted together), TASK_STATE, RUN_DELAY, LAST_ARRIVAL, LAST_QUEUED (offsets in task_struct; 0: the
 * kernel does not account them), and those of unwind.h.
 *
 * When a thread was woken, the scheduler knows itself: sched_info, on the scheduler's clock. How far that
 * clock is from ours is seen at each switch: by the same account the thread that leaves had arrived when we saw it come.
 * That saves a program at each wake, which is as dear as the one at the switch.
 */

#include "stacks.h"
#include "filter.h"
#include "took.h"
#include "off.h"

/* a wait of a second and more, by itself: what of it has been told already is user space's business */
struct wait {
    struct off off;
    u64 end_ns;
};

struct off_key {
    u64 stack;
    u32 tid;
    u32 why;
};

/* why a thread left: collect/offcpu.py */
enum { PREEMPTED, SLEEPING, UNINTERRUPTIBLE, OTHER };
#define NO_CALL 0xffff
#define UNKNOWN_CALL 0xfffe
#define COMPAT (1 << 13)
#define LONG_NS 1000000000ULL

/* include/linux/sched.h */
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define TASK_DEAD 0x80
#define PF_KTHREAD 0x00200000

/* long waits; filled here, drained by collect/offcpu.py through mmap */
BPF_RINGBUF_OUTPUT(long_waits, 64);

/* sums since the epoch; drained by collect/offcpu.py */
BPF_TABLE("hash", struct off_key, struct took, waits_0, ENTRIES);
BPF_TABLE("hash", struct off_key, struct took, waits_1, ENTRIES);
INLINE struct took *waits_find(bool odd, struct off_key *key)
{
    struct took *found;
    if (odd) {
        found = waits_1.lookup(key);
        APART(found, 1);
    } else {
        found = waits_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void waits_make(bool odd, struct off_key *key, struct took *fresh)
{
    if (odd)
        waits_1.insert(key, fresh);
    else
        waits_0.insert(key, fresh);
}

/* our clock less the scheduler's, by CPU */
BPF_PERCPU_ARRAY(clock_ahead, u64, 1);

/* the slot of the thread whose stack is walked */
BPF_PERCPU_ARRAY(leaving, u32, 1);

INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    u32 *slot = leaving.lookup(&zero);
    if (!slot)
        return 0;
    u64 stack = publish(w);
    struct off *off = off_slots.lookup(slot);
    if (off) {
        off->stack = stack;
        off->flags = w->s.flags;
        bpf_get_current_comm(&off->comm, sizeof(off->comm)); /* it may have been given one since */
    }
    return 0;
}

/* A wait that is over. The waiter is not the current thread: what is known of it is in its slot. */
INLINE void add_wait(struct off *off, u32 tid, u64 blocked, u64 runnable)
{
    struct off_key key = {off->stack, tid, off->why};
    bool odd = is_odd();
    struct took *entry = waits_find(odd, &key);
    if (!entry) {
        struct took *fresh = cleared_entry(off->pid, off->flags);
        if (!fresh)
            return;
        fresh->start_ns = off->process_ns;
        __builtin_memcpy(fresh->comm, off->comm, sizeof(fresh->comm));
        waits_make(odd, &key, fresh);
        entry = waits_find(odd, &key);
    }
    if (!entry) {
        count(NO_ENTRY, 1);
        return;
    }
    add(entry, blocked);
    entry->runnable_n += runnable > 0;
    entry->runnable_ns += runnable;
    if (runnable > entry->runnable_max_ns)
        entry->runnable_max_ns = runnable;
}

/* How long a thread that comes was runnable: since it was last put on a run queue, and before, if it was moved from one
 * to another. */
INLINE u64 runnable_for(struct off *off, char *task, u64 now)
{
    u32 zero = 0;
    u64 delay = 0, queued = 0, *ahead = clock_ahead.lookup(&zero);
    if (!ahead || !*ahead)
        return 0;
    MEMBER64(delay, task, RUN_DELAY);
    MEMBER64(queued, task, LAST_QUEUED);
    u64 before = delay > off->delay_ns ? delay - off->delay_ns : 0;
    return before + (queued && queued + *ahead < now ? now - queued - *ahead : 0);
}

/* A thread leaves: note its account, and by when it came, on both clocks, set ours against the scheduler's. */
INLINE void settle(struct off *off, char *task)
{
    u32 zero = 0;
    u64 arrived = 0, delay = 0, *ahead = clock_ahead.lookup(&zero);
    if (!LAST_QUEUED || !ahead)
        return;
    MEMBER64(arrived, task, LAST_ARRIVAL);
    MEMBER64(delay, task, RUN_DELAY);
    off->delay_ns = delay;
    if (arrived && off->in_ns)
        *ahead = off->in_ns - arrived;
}

/* When a thread that leaves had come, by the scheduler's word; 0 if that is not known. */
INLINE u64 arrival(char *task)
{
    u32 zero = 0;
    u64 arrived = 0, *ahead = clock_ahead.lookup(&zero);
    if (!LAST_QUEUED || !ahead || !*ahead)
        return 0;
    MEMBER64(arrived, task, LAST_ARRIVAL);
    return arrived ? arrived + *ahead : 0;
}

/* The thread's wait ends now. */
INLINE void end_wait(struct off *off, char *task, u32 tid, u64 now)
{
    u64 out = off->out_ns, woken = off->woken_ns;
    u64 total = now - out;
    if (LAST_QUEUED && off->why >> 16 != PREEMPTED) {
        u64 runnable = runnable_for(off, task, now);
        woken = off->woken_ns = runnable && runnable < total ? now - runnable : runnable ? out + 1 : 0;
    }
    off->last_ns = total;
    if (total < MIN_NS) {
        count(SHORT, 1);
        count(SHORT_NS, total);
    } else if (total >= LONG_NS) {
        struct wait *w = long_waits.ringbuf_reserve(sizeof(*w));
        if (w) {
            w->off = *off;
            w->end_ns = now;
            long_waits.ringbuf_submit(w, NO_WAKEUP);
        } else {
            count(NO_ROOM, 1);
        }
    } else {
        bool preempted = off->why >> 16 == PREEMPTED;
        u64 runnable = preempted ? total : woken > out ? now - woken : 0;
        add_wait(off, tid, total - runnable, runnable);
    }
    off->out_ns = 0;
}

INLINE void come(char *task, u32 tid, u64 now)
{
    u32 slot = tid & (SLOTS - 1);
    struct off *off = off_slots.lookup(&slot);
    if (!off || off->tid != tid)
        return;
    if (off->out_ns) {
        off->in_ns = now;
        end_wait(off, task, tid, now);
    } else { /* it has left in between, or is watched no more */
        off->tid = 0;
        count(UNTOLD, 1);
    }
}

/* A thread leaves of which it was not told that it came. Some kernels tell of no switch from threads of their own (seen:
 * those of a virtual machine's init, under Firecracker; ftrace misses the same). */
INLINE void come_late(struct off *off, char *task, u32 tid, u64 now)
{
    u64 came = arrival(task);
    off->in_ns = 0;
    if (came > off->out_ns && came <= now)
        end_wait(off, task, tid, came);
    else
        count(UNTOLD, 1);
}

/* The system call that the current thread is in, as numbered by bpf/calls.bpf.c. */
INLINE u32 call_now(char *task)
{
#if X86
    u64 nr = 0, cs = 0;
    struct pt_regs *saved = saved_registers(task);
    REGISTER(nr, saved, orig_rax);
    REGISTER(cs, saved, cs);
    if (nr > NO_CALL)
        return NO_CALL;
    return (nr & (COMPAT - 1)) | (cs == USER32_CS ? COMPAT : 0);
#else
    return UNKNOWN_CALL;
#endif
}

/* Of the type whose arguments the verifier knows, from 5.11 on: members of the thread that comes can be loaded then. */
int on_switch(struct bpf_raw_tracepoint_args *ctx) /* preempted, the thread that leaves, the one that comes, state */
{
    u64 now = bpf_ktime_get_ns();
    struct thread t = current_thread();
    u32 tid = t.tid, pid = t.pid, next = 0, slot = tid & (SLOTS - 1);
    int zero = 0;
    char *coming = (char *)ctx->args[2];
    MEMBER32(next, coming, TASK_PID);
    if (next)
        come(coming, next, now);
    if (!tid || (FILTERED && !wanted(pid)))
        return 0;
    u64 state = 0;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
    state = ctx->args[0] ? 0 : ctx->args[3];
#else
    u32 read = 0;
    read_kernel(&read, sizeof(read), (char *)ctx->args[1] + TASK_STATE);
    state = ctx->args[0] ? 0 : read;
#endif
    struct off *off = off_slots.lookup(&slot);
    if (!off)
        return 0;
    if (off->tid != tid) {
        u32 flags = 0;
        MEMBER32(flags, t.task, TASK_FLAGS);
        if (flags & PF_KTHREAD)
            return 0; /* waits for work, which is nobody's wait */
        if (off->out_ns)
            count(NO_SLOT, 1);
        off->out_ns = 0;
        off->tid = tid;
        off->last_ns = off->in_ns = 0;
        identity(&off->process_ns);
        bpf_get_current_comm(&off->comm, sizeof(off->comm));
    }
    if (state & TASK_DEAD) {
        off->tid = off->out_ns = 0;
        return 0;
    }
    if (off->out_ns)
        come_late(off, t.task, tid, now);
    settle(off, t.task);
    off->pid = pid;
    off->stack = 0;
    off->flags = 0;
    off->woken_ns = 0;
    u32 why = !state                          ? PREEMPTED
              : state & TASK_INTERRUPTIBLE    ? SLEEPING
              : state & TASK_UNINTERRUPTIBLE  ? UNINTERRUPTIBLE
                                              : OTHER;
    off->why = why << 16 | (state ? call_now(t.task) : NO_CALL);
    *(volatile u64 *)&off->out_ns = now; /* last: the reader trusts the rest by it */
    /* a thread whose waits are long has few of them: those have a stack first */
    if (!STACKS || (off->last_ns < MIN_NS && now & 7)) /* after a short wait most often another one comes */
        return 0;
    if (!may_walk(now, off->last_ns >= 1000000 ? WALK_BURST_NS : 0))
        return 0;
    u32 *walked = leaving.lookup(&zero);
    struct walk *w = scratch.lookup(&zero);
    if (!walked || !w)
        return 0;
    *walked = slot;
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_walk(ctx, w, pid, seed, start_ns);
    walk_user(ctx, w, 0);
    return finish(ctx, w);
}
