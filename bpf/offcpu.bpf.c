// SPDX-License-Identifier: GPL-2.0
/*
 * Time off the CPU: at each switch the thread that leaves is noted with the time and, as often as that is cheap, with
 * its stack; the thread that comes has its wait summed: blocked until it was woken, then runnable.
 *
 * Given as defines: SLOTS (threads, a power of two), ENTRIES, FILTERED, STACKS (0: none are taken), MIN_NS (shorter waits
 * are counted together), TASK_PID, TASK_STATE, RUN_DELAY, LAST_ARRIVAL, LAST_QUEUED (offsets in task_struct; 0: the
 * kernel does not account them), X86, and those of unwind.h.
 *
 * When a thread was woken, the scheduler knows itself: sched_info, on the scheduler's clock. How far that
 * clock is from ours is seen at each switch: by the same account the thread that leaves had arrived when we saw it come.
 * That saves a program at each wake, which is as dear as the one at the switch.
 */

#include "stacks.h"
#include "filter.h"
#include "took.h"

/* a thread that is off the CPU, or was last */
struct off {
    u64 out_ns; /* 0: it is on one */
    u64 woken_ns;
    u64 stack;
    u64 process_ns; /* the process's start, CLOCK_BOOTTIME */
    u64 last_ns;    /* what its last wait took */
    u64 in_ns;      /* when it last came */
    u64 delay_ns;   /* what it had waited for CPUs in all its life, when it left */
    u32 tid;
    u32 pid;
    u32 why;   /* system call, or NO_CALL; state << 16 */
    u32 flags; /* of the stack */
    char comm[16];
};

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

struct wake_key {
    u64 stack;
    u32 tid;
    u32 woken;
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

#define offsetof(type, member) __builtin_offsetof(type, member)

enum { NO_ENTRY, NO_SLOT, NO_ROOM, SHORT, SHORT_NS, COUNTERS };
/* losses by cause, and what was too short; filled here, read by collect/offcpu.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* threads by their number; filled here, read by collect/offcpu.py through mmap */
BPF_F_TABLE("array", u32, struct off, off_slots, SLOTS, 1024);
/* long waits; filled here, drained by collect/offcpu.py through mmap */
BPF_RINGBUF_OUTPUT(long_waits, 64);

/* sums since the epoch, of waits and of who ended them; drained by collect/offcpu.py */
BPF_TABLE("hash", struct off_key, struct took, waits_0, ENTRIES);
BPF_TABLE("hash", struct off_key, struct took, waits_1, ENTRIES);
INLINE struct took *waits_find(bool odd, struct off_key *key)
{
    return odd ? waits_1.lookup(key) : waits_0.lookup(key);
}
INLINE void waits_make(bool odd, struct off_key *key, struct took *fresh)
{
    if (odd)
        waits_1.insert(key, fresh);
    else
        waits_0.insert(key, fresh);
}

BPF_TABLE("hash", struct wake_key, struct took, wakes_0, ENTRIES);
BPF_TABLE("hash", struct wake_key, struct took, wakes_1, ENTRIES);
INLINE struct took *wakes_find(bool odd, struct wake_key *key)
{
    return odd ? wakes_1.lookup(key) : wakes_0.lookup(key);
}
INLINE void wakes_make(bool odd, struct wake_key *key, struct took *fresh)
{
    if (odd)
        wakes_1.insert(key, fresh);
    else
        wakes_0.insert(key, fresh);
}
ENTRY(wakes, wake_key)

/* our clock less the scheduler's, by CPU */
BPF_PERCPU_ARRAY(clock_ahead, u64, 1);

/* whose stack the walk is for: the thread that leaves, or the one that wakes `woken` */
struct purpose {
    u32 slot;
    u32 woken;
    u32 wakes;
    u32 pid;
};
BPF_PERCPU_ARRAY(purposes, struct purpose, 1);

INLINE void count(int cause, u64 by)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += by;
}

INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    struct purpose *p = purposes.lookup(&zero);
    if (!p)
        return 0;
    u64 stack = publish(w);
    if (!p->wakes) {
        struct off *off = off_slots.lookup(&p->slot);
        if (off) {
            off->stack = stack;
            off->flags = w->s.flags;
            bpf_get_current_comm(&off->comm, sizeof(off->comm)); /* it may have been given one since */
        }
        return 0;
    }
    struct wake_key key = {stack, (u32)bpf_get_current_pid_tgid(), p->woken};
    struct took *entry = wakes_entry(&key, p->pid, w->s.flags);
    if (entry)
        entry->n++;
    else
        count(NO_ENTRY, 1);
    return 0;
}

INLINE int walk_for(void *ctx, struct purpose *p, u32 pid)
{
    int zero = 0;
    struct walk *w = scratch.lookup(&zero);
    if (!w)
        return 0;
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_walk(ctx, w, pid, seed, start_ns);
    walk_user(ctx, w, 0);
    return finish(ctx, w);
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
#define ACCOUNT (LAST_QUEUED - RUN_DELAY + 8)
INLINE u64 runnable_for(struct off *off, char *task, u64 now)
{
    u32 zero = 0;
    u64 account[8] = {}, *ahead = clock_ahead.lookup(&zero);
    if (!ahead || !*ahead)
        return 0;
    read_kernel(account, ACCOUNT, task + RUN_DELAY);
    u64 queued = account[ACCOUNT / 8 - 1] + *ahead;
    u64 before = account[0] > off->delay_ns ? account[0] - off->delay_ns : 0;
    return before + (account[ACCOUNT / 8 - 1] && queued < now ? now - queued : 0);
}

/* A thread leaves: note its account, and by when it came, on both clocks, set ours against the scheduler's. */
INLINE void settle(struct off *off)
{
    u32 zero = 0;
    u64 arrived = 0, delay = 0, *ahead = clock_ahead.lookup(&zero);
    if (!LAST_QUEUED || !ahead)
        return;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
    void *task = current_task();
    asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(arrived) : "r"(task), "i"(LAST_ARRIVAL));
    asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(delay) : "r"(task), "i"(RUN_DELAY));
#else
    read_kernel(&arrived, sizeof(arrived), (char *)bpf_get_current_task() + LAST_ARRIVAL);
    read_kernel(&delay, sizeof(delay), (char *)bpf_get_current_task() + RUN_DELAY);
#endif
    off->delay_ns = delay;
    if (arrived && off->in_ns)
        *ahead = off->in_ns - arrived;
}

INLINE void come(char *task, u32 tid, u64 now)
{
    u32 slot = tid & (SLOTS - 1);
    struct off *off = off_slots.lookup(&slot);
    if (!off || off->tid != tid)
        return;
    off->in_ns = now;
    if (!off->out_ns)
        return;
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

/* The system call that the current thread is in, as numbered by bpf/calls.bpf.c. */
INLINE u32 call_now(void)
{
#if X86 && UNWIND_ROWS && LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
    u64 nr, cs; /* loaded, not read by a helper: the verifier knows what these pointers are */
    struct pt_regs *saved = task_registers(current_task());
    asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(nr) : "r"(saved), "i"(offsetof(struct pt_regs, orig_rax)));
    asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(cs) : "r"(saved), "i"(offsetof(struct pt_regs, cs)));
    if (nr > NO_CALL)
        return NO_CALL;
    return (nr & (COMPAT - 1)) | (cs == USER32_CS ? COMPAT : 0);
#else
    return UNKNOWN_CALL;
#endif
}

int on_switch(struct bpf_raw_tracepoint_args *ctx) /* preempted, the thread that leaves, the one that comes, state */
{
    u64 now = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid();
    u32 tid = id, pid = id >> 32, next = 0, slot = tid & (SLOTS - 1);
    int zero = 0;
    read_kernel(&next, sizeof(next), (char *)ctx->args[2] + TASK_PID);
    if (next)
        come((char *)ctx->args[2], next, now);
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
        read_kernel(&flags, sizeof(flags), (char *)bpf_get_current_task() + TASK_FLAGS);
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
    settle(off);
    off->pid = pid;
    off->stack = 0;
    off->flags = 0;
    off->woken_ns = 0;
    u32 why = !state                          ? PREEMPTED
              : state & TASK_INTERRUPTIBLE    ? SLEEPING
              : state & TASK_UNINTERRUPTIBLE  ? UNINTERRUPTIBLE
                                              : OTHER;
    off->why = why << 16 | (state ? call_now() : NO_CALL);
    *(volatile u64 *)&off->out_ns = now; /* last: the reader trusts the rest by it */
    /* a thread whose waits are long has few of them: those have a stack first */
    if (!STACKS || (off->last_ns < MIN_NS && now & 7)) /* after a short wait most often another one comes */
        return 0;
    if (!may_walk(now, off->last_ns >= 1000000 ? WALK_BURST_NS : 0))
        return 0;
    struct purpose *p = purposes.lookup(&zero);
    if (!p)
        return 0;
    p->slot = slot;
    p->wakes = 0;
    return walk_for(ctx, p, pid);
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

/* wakes that are looked at */
BPF_PERCPU_ARRAY(wake_draw, struct draw, 1);
#define WAKES_EVERY 16

/* The current thread wakes another one: now and then, where it does so. */
int on_waking(struct bpf_raw_tracepoint_args *ctx)
{
    int zero = 0;
    struct draw *d = wake_draw.lookup(&zero);
    struct purpose *p = purposes.lookup(&zero);
    if (!d || !p || !is_drawn(d, WAKES_EVERY))
        return 0;
    u64 now = bpf_ktime_get_ns();
    u32 pid = bpf_get_current_pid_tgid() >> 32, tid = 0;
    read_kernel(&tid, sizeof(tid), (char *)ctx->args[0] + TASK_PID);
    u32 slot = tid & (SLOTS - 1);
    struct off *off = off_slots.lookup(&slot);
    if (!pid || !off || off->tid != tid || !may_walk(now, 0))
        return 0; /* an interrupt of the idle task, or nobody that is watched */
    p->woken = tid;
    p->wakes = 1;
    p->pid = pid;
    return walk_for(ctx, p, pid);
}
