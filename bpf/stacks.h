// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks on their way to user space: the addresses go into a ring the first time that their hash is seen, and
 * whatever has that stack carries the hash. One ring for all programs, made and drained by collect/stacks.py.
 */

#include "unwind.h"

BPF_RINGBUF_OUTPUT(stack_ring, 256);
/* hashes whose stack has been written; filled here, never drained: the oldest make room */
BPF_TABLE("lru_hash", u64, u8, stack_known, 16384);
/* changed by the reader when it has forgotten the stacks it knew */
BPF_ARRAY(stack_salt, u64, 1);
/* stacks that found no room in the ring; filled here, read by collect/stacks.py */
BPF_PERCPU_ARRAY(stack_lost, u64, 1);

/* Which of so many things has its stack taken: of every so many one, at a place that is drawn anew each time, as what
 * is done by turns would keep step with every so manieth. */
struct draw {
    u32 at;
    u32 drawn;
};

INLINE bool is_drawn(struct draw *d, u32 every)
{
    bool it = d->at == d->drawn;
    d->at++;
    if (d->at >= every) {
        d->at = 0;
        d->drawn = bpf_get_prandom_u32() % every;
    }
    return it;
}

/* What makes equal addresses of this process different from those of others, and of its other execs. */
INLINE u64 stack_seed(u64 *start_ns)
{
    int zero = 0;
    u64 *salt = stack_salt.lookup(&zero);
    return (salt ? *salt : 0) ^ identity(start_ns);
}

/* The walk is done: write its stack, unless it is known -> its hash; 0 if there is no stack. */
INLINE u64 publish(struct walk *w)
{
    int zero = 0;
    u8 one = 1;
    if (!w->n)
        return 0;
    struct stack *s = &w->s;
    s->hash = s->hash ? s->hash : 1;
    u32 stop = s->flags & STOP_BITS;
    if (w->unknown)
        ask(s->pid, NO_ROW);
    else if (stop >= NO_MAPPING && stop <= STUCK && stop != TOO_DEEP)
        ask(s->pid, NO_MAPPING); /* what went astray may be a mapping that another one has taken the place of */
    if (stack_known.lookup(&s->hash))
        return s->hash;
    u64 size = 32 + ((u64)(w->n & (WORDS - 1)) << 3);
    if (stack_ring.ringbuf_output(s, size, NO_WAKEUP)) {
        u64 *lost = stack_lost.lookup(&zero);
        if (lost)
            *lost += 1;
        return s->hash;
    }
    stack_known.update(&s->hash, &one);
    return s->hash;
}
