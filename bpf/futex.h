// SPDX-License-Identifier: GPL-2.0
/*
 * The part of bpf/calls.bpf.c that knows futexes: which calls wait and which wake, for what, and who holds the lock.
 */

#if FUTEX

#define FUTEX_WAITERS 0x80000000
#define FUTEX_TID 0x3fffffff

#if X86
#define NR_FUTEX 202
#define COMPAT_FUTEX 240
#else
#define NR_FUTEX 98
#define COMPAT_FUTEX 240
#endif
#define NR_WAITV 449 /* the same in every table */
#define NR_FUTEX_WAKE 454
#define NR_FUTEX_WAIT 455
#define NR_FUTEX_REQUEUE 456
#define COMPAT_FUTEX_64 422

INLINE bool is_futex(u32 nr)
{
    if (nr & COMPAT) {
        nr &= COMPAT - 1;
        return nr == COMPAT_FUTEX || nr == COMPAT_FUTEX_64 || nr == NR_WAITV || (nr >= NR_FUTEX_WAKE && nr <= 456);
    }
    return nr == NR_FUTEX || nr == NR_WAITV || (nr >= NR_FUTEX_WAKE && nr <= NR_FUTEX_REQUEUE);
}

/* FUTEX_* of include/uapi/linux/futex.h, without its flags -> a kind; WAKES: none of interest */
INLINE u32 kind_of(u32 op)
{
    switch (op & 127) {
    case 0:
        return WAIT;
    case 9:
        return BITSET;
    case 6:
    case 13:
        return PI;
    case 11:
        return REQUEUE_PI;
    case 1:
    case 3:
    case 4:
    case 5:
    case 10:
    case 12:
        return WAKE;
    case 7:
        return UNLOCK_PI;
    }
    return WAKES;
}

/* Who holds the lock: in the word itself (PI, robust), or where glibc's mutex has its owner behind it. */
INLINE u32 owner_of(u32 kind, u64 address, u32 value)
{
    u32 word = 0;
    if (kind == PI) {
        read_user(&word, 4, (void *)address);
        return word & FUTEX_TID;
    }
    if (kind != WAIT && kind != BITSET)
        return 0;
    if (value & FUTEX_WAITERS)
        return value & FUTEX_TID;
    if (value == 2)
        read_user(&word, 4, (void *)(address + 8));
    return word;
}

INLINE int begin_futex(context *ctx, u32 nr, u32 tid, u32 pid, u64 now)
{
    u64 args[3] = {};
    int zero = 0;
    u32 slot = tid & (SLOTS - 1), call = nr & (COMPAT - 1);
    struct wait *w = wait_slots.lookup(&slot);
    struct purpose *p = purposes.lookup(&zero);
    if (!w || !p)
        return 0;
    arguments(ctx, nr & COMPAT, args);
    u64 address = args[0];
    u32 kind, value = args[2];
    if (call == NR_WAITV || call == NR_FUTEX_REQUEUE) {
        read_user(&address, 8, (void *)(args[0] + 8)); /* struct futex_waitv: val, uaddr */
        kind = call == NR_WAITV ? WAITV : WAKE;
    } else if (call == NR_FUTEX_WAKE) {
        kind = WAKE;
    } else if (call == NR_FUTEX_WAIT) {
        kind = WAIT2;
    } else {
        kind = kind_of(args[1]);
    }
    if (kind == WAKES)
        return 0;
    if (w->start_ns && w->tid != tid)
        count(LOCK_NO_SLOT);
    w->start_ns = 0;
    w->address = address;
    w->stack = 0;
    w->tid = tid;
    w->pid = pid;
    w->kind = kind;
    w->owner = owner_of(kind, address, value);
    w->flags = 0;
    if (w->owner) {
        bool guessed = kind != PI && !(value & FUTEX_WAITERS);
        struct other_key key = {address, 0, pid, w->owner, guessed ? GUESSED_HOLDER : HOLDER};
        add_other(&key, 1, 0);
    }
    identity(&w->process_ns);
    *(volatile u64 *)&w->start_ns = now;
    if (kind > WAKES || !STACKS || !may_walk(now, 0))
        return 0;
    p->slot = slot;
    p->pid = pid;
    return walk_for(ctx, p, FOR_WAIT);
}

/* Waits that had no stack when they began get one at their end, if they are rare enough: longer than this. */
#define LONG_WAIT_NS 100000

INLINE int end_futex(context *ctx, u32 tid, u32 pid, u64 now)
{
    int zero = 0;
    u32 slot = tid & (SLOTS - 1);
    s64 ret = result(ctx);
    struct wait *w = wait_slots.lookup(&slot);
    struct purpose *p = purposes.lookup(&zero);
    if (!w || !p)
        return 0;
    if (w->tid != tid || !w->start_ns) {
        if (!w->start_ns)
            w->tid = tid; /* it began before we looked: it is over now */
        return 0;
    }
    u64 ns = now - w->start_ns;
    w->start_ns = 0;
    p->address = w->address;
    p->pid = pid;
    if (w->kind > WAKES) {
        if (ret < 0 || (w->kind == WAKE && !ret))
            return 0; /* nobody was woken */
        p->woken = w->kind == UNLOCK_PI ? 1 : ret;
        if (STACKS && may_walk(now, 0))
            return walk_for(ctx, p, FOR_WAKE);
        struct other_key key = {w->address, 0, pid, tid, WAKER};
        add_other(&key, p->woken, 0);
        return 0;
    }
    if (ret == -EAGAIN) {
        count(RACED); /* the word had changed: nobody waited */
        return 0;
    }
    struct lock_key *key = &p->lock;
    key->address = w->address;
    key->stack = w->stack;
    key->tid = tid;
    key->error = ret < 0 ? -ret : 0;
    key->kind = w->kind;
    key->bucket = bucket(ns);
    p->ns = ns;
    if (STACKS && !w->stack && !w->flags && ns >= LONG_WAIT_NS && may_walk(now, WALK_BURST_NS))
        return walk_for(ctx, p, FOR_WAITED);
    if (!w->stack && !w->flags)
        count(NOT_WALKED);
    add_wait(key, pid, ns, w->flags);
    return 0;
}

#else

INLINE bool is_futex(u32 nr)
{
    return false;
}

INLINE int begin_futex(context *ctx, u32 nr, u32 tid, u32 pid, u64 now)
{
    return 0;
}

INLINE int end_futex(context *ctx, u32 tid, u32 pid, u64 now)
{
    return 0;
}

#endif
