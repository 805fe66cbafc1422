// SPDX-License-Identifier: GPL-2.0
/*
 * How long things took, summed in the kernel: in two tables, of which one is filled while the other is read. User space
 * changes over by `epoch`, and reads what is then left alone a while later, so that no count is lost on the way.
 * Keys have the thread in them: a thread runs on one CPU at a time, so that sums need no lock.
 */

struct took {
    u64 n;
    u64 total_ns;
    u64 min_ns;
    u64 max_ns;
    u64 runnable_n; /* of waits: those after which there was no CPU at once, and what came on top until there was */
    u64 runnable_ns;
    u64 runnable_max_ns;
    u64 start_ns; /* of the process, CLOCK_BOOTTIME */
    u32 pid;
    u32 flags; /* of the stack */
    char comm[16]; /* the thread's name */
};

BPF_ARRAY(epoch, u32, 1);
/* a blank one, too large for the stack */
BPF_PERCPU_ARRAY(blank, struct took, 1);
/* entries that were made since the epoch, to be set back by user space: it changes over before a table is full */
BPF_ARRAY(entries, u64, 1);

/* Keeps two look-ups apart that differ in their map alone. Put together by the compiler they have no one map, so that the
 * kernel cannot call the map's own function, but calls it by a pointer: with retpolines 28 ns more. */
#define APART(found, which) asm volatile("" : "+r"(found) : "i"(which))

/* Defines NAME_entry: the entry of a key in the table that is being filled, made where there was none; 0 if the table is
 * full. NAME_find and NAME_make are the program's, for BCC lets no macro use a map. */
#define ENTRY(name, key_type)                                                                                          \
    INLINE struct took *name##_entry(struct key_type *key, u32 pid, u32 flags)                                         \
    {                                                                                                                  \
        bool odd = is_odd();                                                                                           \
        struct took *found = name##_find(odd, key);                                                                    \
        if (found)                                                                                                     \
            return found;                                                                                              \
        struct took *fresh = blank_entry(pid, flags);                                                                  \
        if (!fresh)                                                                                                    \
            return 0;                                                                                                  \
        name##_make(odd, key, fresh);                                                                                  \
        return name##_find(odd, key);                                                                                  \
    }

INLINE bool is_odd(void)
{
    u32 zero = 0, *which = epoch.lookup(&zero);
    return which && (*which & 1);
}

/* An entry with nothing in it, of nobody yet. */
INLINE struct took *cleared_entry(u32 pid, u32 flags)
{
    u32 zero = 0;
    struct took *fresh = blank.lookup(&zero);
    u64 *made = entries.lookup(&zero);
    if (!fresh || !made)
        return 0;
    __sync_fetch_and_add(made, 1);
    fresh->n = fresh->total_ns = fresh->max_ns = 0;
    fresh->runnable_n = fresh->runnable_ns = fresh->runnable_max_ns = 0;
    fresh->min_ns = ~0ULL;
    fresh->pid = pid;
    fresh->flags = flags;
    return fresh;
}

/* One of the current thread's. */
INLINE struct took *blank_entry(u32 pid, u32 flags)
{
    struct took *fresh = cleared_entry(pid, flags);
    if (fresh) {
        identity(&fresh->start_ns);
        bpf_get_current_comm(&fresh->comm, sizeof(fresh->comm));
    }
    return fresh;
}

INLINE void add(struct took *to, u64 ns)
{
    to->n++;
    to->total_ns += ns;
    if (ns < to->min_ns)
        to->min_ns = ns;
    if (ns > to->max_ns)
        to->max_ns = ns;
}

/* profile.latency.bucket */
#define BUCKETS 44
INLINE u32 bucket(u64 ns)
{
    u32 r = 0;
    if (ns >> 32) {
        ns >>= 32;
        r = 32;
    }
    if (ns >> 16) {
        ns >>= 16;
        r |= 16;
    }
    if (ns >> 8) {
        ns >>= 8;
        r |= 8;
    }
    if (ns >> 4) {
        ns >>= 4;
        r |= 4;
    }
    if (ns >> 2) {
        ns >>= 2;
        r |= 2;
    }
    r |= ns >> 1 & 1;
    return r < BUCKETS ? r : BUCKETS - 1;
}

/* When the next stack may be walked on this CPU: what limits the cost of stacks. */
BPF_PERCPU_ARRAY(walk_at, u64, 1);
#define WALK_EVERY_NS 500000  /* 2,000 a second and CPU, some 0.5 % of it */
#define WALK_BURST_NS 100000000

/* Whether a stack may be walked now. debt_ns: what may be owed beyond the burst, for those that matter more. */
INLINE bool may_walk(u64 now, u64 debt_ns)
{
    int zero = 0;
    u64 *at = walk_at.lookup(&zero);
    if (!at)
        return false;
    if (*at + WALK_BURST_NS < now)
        *at = now - WALK_BURST_NS;
    if (*at > now + debt_ns)
        return false;
    *at += WALK_EVERY_NS;
    return true;
}
