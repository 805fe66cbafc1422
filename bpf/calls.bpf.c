// SPDX-License-Identifier: GPL-2.0
/*
 * System calls by process and outcome with their latencies, and waits in futexes by lock and stack. One program serves
 * both, or either: for futexes alone it is attached to their own tracepoints, for then other calls pay less.
 *
 * Given as defines: CALLS, FUTEX (what is collected), RAW (attached to the raw tracepoints of all calls),
 * SLOTS (threads, a power of two; CALL_SLOTS and WAIT_SLOTS are the same, or 1 where they are not used), CALL_ENTRIES and
 * ENTRIES (room in the tables), FILTERED (by bpf/filter.h), BY_CALL (only calls in call_filter), EVERY (of so many calls
 * one has its stack taken; 0: none), STACKS (whether those of waits are taken), TASK_STATUS (offset of thread_info.status
 * in task_struct; 0: no 32-bit calls), and those of unwind.h.
 */

#include "stacks.h"
#include "filter.h"
#include "took.h"

#define COMPAT (1 << 13) /* of a call's number: it is one of the 32-bit table */
#define NUMBERS (1 << 14)
#define TS_COMPAT 2 /* arch/x86/include/asm/thread_info.h */
#define EAGAIN 11

/* a call that goes on, by its thread */
struct call {
    u64 start_ns; /* 0: none */
    u64 process_ns; /* the process's start, CLOCK_BOOTTIME */
    u32 tid;
    u32 pid;
    u32 nr;
    u32 unused;
};

/* a wait that goes on, by its thread; likewise a wake */
struct wait {
    u64 start_ns; /* 0: none */
    u64 address;
    u64 stack;
    u64 process_ns;
    u32 tid;
    u32 pid;
    u32 kind;
    u32 owner;
    u32 flags; /* of the stack */
    u32 unused;
};

struct call_key {
    u64 call; /* tid | nr << 32 | bucket << 46 | error << 52 */
    u64 stack;
};

struct lock_key {
    u64 address;
    u64 stack;
    u32 tid;
    u16 error;
    u8 kind;
    u8 bucket;
};

/* kinds of waits (collect/locks.py), then of wakes */
enum { WAIT, BITSET, PI, REQUEUE_PI, WAIT2, WAITV, WAKES, WAKE, UNLOCK_PI };
/* profile.kinds.Role */
enum { WAKER = 2, HOLDER };
#define GUESSED_HOLDER (HOLDER | 256) /* by what lies behind the word, if it is a mutex of glibc */

struct other_key {
    u64 address;
    u64 stack;
    u32 pid;
    u32 tid;
    u64 role;
};

enum { NO_ENTRY, NO_SLOT, LOCK_NO_ENTRY, LOCK_NO_SLOT, RACED, NOT_WALKED, COUNTERS };
/* losses by cause; filled here, read by collect/calls.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* what goes on; filled here, read by collect/calls.py through mmap */
BPF_F_TABLE("array", u32, struct call, call_slots, CALL_SLOTS, 1024);
BPF_F_TABLE("array", u32, struct wait, wait_slots, WAIT_SLOTS, 1024);
/* calls that are wanted, by number; filled by collect/calls.py */
BPF_ARRAY(call_filter, u8, NUMBERS);
/* sums since the epoch, of calls, of waits, and of who ended them or held the lock; drained by collect/calls.py */
BPF_TABLE("hash", struct call_key, struct took, calls_0, CALL_ENTRIES);
BPF_TABLE("hash", struct call_key, struct took, calls_1, CALL_ENTRIES);
INLINE struct took *calls_find(bool odd, struct call_key *key)
{
    struct took *found;
    if (odd) {
        found = calls_1.lookup(key);
        APART(found, 1);
    } else {
        found = calls_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void calls_make(bool odd, struct call_key *key, struct took *fresh)
{
    if (odd)
        calls_1.insert(key, fresh);
    else
        calls_0.insert(key, fresh);
}
ENTRY(calls, call_key)

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

BPF_TABLE("hash", struct other_key, struct took, others_0, ENTRIES);
BPF_TABLE("hash", struct other_key, struct took, others_1, ENTRIES);
INLINE struct took *others_find(bool odd, struct other_key *key)
{
    struct took *found;
    if (odd) {
        found = others_1.lookup(key);
        APART(found, 1);
    } else {
        found = others_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void others_make(bool odd, struct other_key *key, struct took *fresh)
{
    if (odd)
        others_1.insert(key, fresh);
    else
        others_0.insert(key, fresh);
}
ENTRY(others, other_key)

/* what is to become of the walk, and of the stack that it finds */
enum { FOR_CALL, FOR_WAIT, FOR_WAITED, FOR_WAKE };
struct purpose {
    u64 address;
    u64 ns;
    struct call_key call;
    struct lock_key lock;
    u32 what;
    u32 slot;
    u32 woken;
    u32 pid;
};
BPF_PERCPU_ARRAY(purposes, struct purpose, 1);
/* calls whose stack is taken */
BPF_PERCPU_ARRAY(call_draw, struct draw, 1);

INLINE void count(int cause)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += 1;
}

INLINE void add_call(struct call_key *key, u32 pid, u64 ns, u32 flags)
{
    struct took *entry = calls_entry(key, pid, flags);
    if (entry)
        add(entry, ns);
    else
        count(NO_ENTRY);
}

INLINE void add_wait(struct lock_key *key, u32 pid, u64 ns, u32 flags)
{
    struct took *entry = locks_entry(key, pid, flags);
    if (entry)
        add(entry, ns);
    else
        count(LOCK_NO_ENTRY);
}

/* Wakes of the current thread, or waits that found a lock held: many threads may add to one entry. */
INLINE void add_other(struct other_key *key, u32 n, u32 flags)
{
    struct took *entry = others_entry(key, key->pid, flags);
    if (entry)
        __sync_fetch_and_add(&entry->n, n);
    else
        count(LOCK_NO_ENTRY);
}

INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    struct purpose *p = purposes.lookup(&zero);
    if (!p)
        return 0;
    u64 stack = publish(w);
    if (p->what == FOR_CALL) {
        p->call.stack = stack;
        add_call(&p->call, p->pid, p->ns, w->s.flags);
    } else if (p->what == FOR_WAIT) {
        struct wait *wait = wait_slots.lookup(&p->slot);
        if (wait) {
            wait->stack = stack;
            wait->flags = w->s.flags;
        }
    } else if (p->what == FOR_WAITED) {
        p->lock.stack = stack;
        add_wait(&p->lock, p->pid, p->ns, w->s.flags);
    } else {
        struct other_key key = {p->address, stack, p->pid, (u32)bpf_get_current_pid_tgid(), WAKER};
        add_other(&key, p->woken, w->s.flags);
    }
    return 0;
}

/* Walk the current thread's user stack; then `finish`. */
INLINE int walk_for(void *ctx, struct purpose *p, u32 what)
{
    int zero = 0;
    struct walk *w = scratch.lookup(&zero);
    if (!w)
        return 0;
    p->what = what;
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_user_walk(w, p->pid, seed, start_ns);
    walk_user(ctx, w, 0);
    return finish(ctx, w);
}

#include "call_context.h"
#include "futex.h"

/* A call's number in our tables: with COMPAT, and no larger than the filter has room for. */
INLINE u32 numbered(context *ctx, char *task)
{
    return (number(ctx) & (COMPAT - 1)) | (is_compat(task) ? COMPAT : 0);
}

int on_enter(context *ctx)
{
    struct thread t = current_thread();
    u32 tid = t.tid, pid = t.pid;
    if (FILTERED && !wanted(pid))
        return 0;
    u32 nr = numbered(ctx, t.task);
    u64 now = bpf_ktime_get_ns();
#if CALLS
    u32 slot = tid & (SLOTS - 1);
    u8 *on = BY_CALL ? call_filter.lookup(&nr) : 0;
    struct call *c = call_slots.lookup(&slot);
    if (c && (!BY_CALL || (on && *on))) {
        if (c->start_ns && c->tid != tid)
            count(NO_SLOT); /* two threads with one slot: the other one's call is lost */
        c->start_ns = 0;
        if (c->tid != tid || !c->process_ns)
            identity(&c->process_ns);
        c->tid = tid;
        c->pid = pid;
        c->nr = nr;
        *(volatile u64 *)&c->start_ns = now; /* last: the reader trusts the rest by it */
    }
#endif
    return is_futex(nr) ? begin_futex(ctx, nr, tid, pid, now) : 0;
}

#if CALLS

INLINE bool take_stack(void)
{
    int zero = 0;
    struct draw *d = call_draw.lookup(&zero);
    return d && is_drawn(d, EVERY);
}

/* -> whether the walk goes on from here, and with it everything else. */
INLINE bool end_call(context *ctx, u32 tid, u32 pid)
{
    int zero = 0;
    u32 slot = tid & (SLOTS - 1);
    struct call *c = call_slots.lookup(&slot);
    if (!c)
        return false;
    if (c->tid != tid || !c->start_ns) {
        if (!c->start_ns && c->tid != tid) {
            c->tid = tid; /* it began before we looked: it is over now */
            c->process_ns = 0;
#if FUTEX
            struct wait *w = wait_slots.lookup(&slot);
            if (w && !w->start_ns)
                w->tid = tid;
#endif
        }
        return false;
    }
    u64 ns = bpf_ktime_get_ns() - c->start_ns;
    s64 ret = result(ctx);
    c->start_ns = 0;
    u64 error = ret < 0 && ret >= -4095 ? -ret : 0;
    struct call_key key = {tid | (u64)c->nr << 32 | (u64)bucket(ns) << 46 | error << 52, 0};
    if (EVERY && take_stack()) {
        struct purpose *p = purposes.lookup(&zero);
        if (p) {
            p->call = key;
            p->ns = ns;
            p->pid = pid;
            return true;
        }
    }
    add_call(&key, pid, ns, 0);
    return false;
}

#endif

int on_exit(context *ctx)
{
    u64 id = bpf_get_current_pid_tgid();
    u32 tid = id, pid = id >> 32;
#if CALLS
    bool walk = end_call(ctx, tid, pid);
#if FUTEX
    u32 slot = tid & (SLOTS - 1);
    struct wait *w = wait_slots.lookup(&slot);
    if (w && w->start_ns && w->tid == tid) {
        if (walk) { /* one walk is enough: the call counts without */
            int zero = 0;
            struct purpose *p = purposes.lookup(&zero);
            if (p)
                add_call(&p->call, pid, p->ns, 0);
        }
        return end_futex(ctx, tid, pid, bpf_ktime_get_ns());
    }
#endif
    if (walk) {
        int zero = 0;
        struct purpose *p = purposes.lookup(&zero);
        if (p)
            return walk_for(ctx, p, FOR_CALL);
    }
    return 0;
#else
    return end_futex(ctx, tid, pid, bpf_ktime_get_ns());
#endif
}

/* A thread that becomes another program takes over the number of its process's first thread, in the middle of a call. */
int on_exec(struct bpf_raw_tracepoint_args *ctx) /* task, its number until now */
{
    u32 tid = bpf_get_current_pid_tgid(), old = ctx->args[1], slot = tid & (SLOTS - 1), from = old & (SLOTS - 1);
    struct call *c = call_slots.lookup(&slot), *was = call_slots.lookup(&from);
    if (old == tid || !c || !was || was->tid != old)
        return 0;
    u64 began = was->start_ns;
    c->start_ns = 0;
    c->process_ns = was->process_ns;
    c->tid = tid;
    c->pid = was->pid;
    c->nr = was->nr;
    was->start_ns = was->process_ns = 0;
    *(volatile u64 *)&c->start_ns = began;
    return 0;
}

/* A thread that ends inside a call leaves nothing behind. */
int on_thread_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u32 tid = bpf_get_current_pid_tgid(), slot = tid & (SLOTS - 1);
    struct call *c = call_slots.lookup(&slot);
    struct wait *w = wait_slots.lookup(&slot);
    if (c && (c->tid == tid || !c->start_ns)) {
        c->start_ns = c->process_ns = 0;
        c->tid = tid; /* also of a call that began before we looked */
    }
    if (w && (w->tid == tid || !w->start_ns)) {
        w->start_ns = 0;
        w->tid = tid;
    }
    return 0;
}
