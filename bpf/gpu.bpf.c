// SPDX-License-Identifier: GPL-2.0
/*
 * Calls to NVIDIA's driver that give work to a GPU, by thread, function, launch configuration and stack: probes at the
 * entries of libcuda, which need nothing in the process. How long the GPU takes is not seen from here.
 *
 * Given as defines: ENTRIES, FILTERED (by bpf/filter.h), STACKS (whether they are taken), and those of unwind.h.
 */

#include "stacks.h"
#include "filter.h"
#include "took.h"

/* of a cookie: how the arguments are to be read, then which function it is (collect/gpu/driver_calls.py) */
#define SHAPE_BITS 8
enum { PLAIN, LAUNCH, LAUNCH_EX, BYTES_2, BYTES_3, BYTES_5 };

struct gpu_key {
    u64 function; /* CUfunction of a launch */
    u64 amount;   /* dynamic shared memory of a launch, else bytes or elements */
    u64 stack;
    u32 grid_x;
    u32 grid_y;
    u32 grid_z;
    u32 block_x;
    u32 block_y;
    u32 block_z;
    u32 tid;
    u32 call;
};

/* CUlaunchConfig of cuda.h, as far as it is read */
struct launch_config {
    u32 grid_x, grid_y, grid_z;
    u32 block_x, block_y, block_z;
    u32 shared;
};

/* when a stack was taken, and whose */
struct moment {
    u64 time_ns; /* CLOCK_MONOTONIC */
    u64 stack;
    u64 start_ns; /* of the process, CLOCK_BOOTTIME */
    u32 pid;
    u32 tid;
    u32 flags;
    u32 unused;
};

enum { NO_ENTRY, UNREADABLE, NOT_WALKED, NO_ROOM, COUNTERS };
/* losses by cause; filled here, read by collect/gpu/launches.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* filled here, drained by collect/gpu/launches.py through mmap; its size is set when it is made */
BPF_RINGBUF_OUTPUT(moments, 64);
/* sums since the epoch; drained by collect/gpu/launches.py */
BPF_TABLE("hash", struct gpu_key, struct took, launches_0, ENTRIES);
BPF_TABLE("hash", struct gpu_key, struct took, launches_1, ENTRIES);
INLINE struct took *launches_find(bool odd, struct gpu_key *key)
{
    struct took *found;
    if (odd) {
        found = launches_1.lookup(key);
        APART(found, 1);
    } else {
        found = launches_0.lookup(key);
        APART(found, 0);
    }
    return found;
}
INLINE void launches_make(bool odd, struct gpu_key *key, struct took *fresh)
{
    if (odd)
        launches_1.insert(key, fresh);
    else
        launches_0.insert(key, fresh);
}
ENTRY(launches, gpu_key)

/* what is to become of the walk */
BPF_PERCPU_ARRAY(pending, struct gpu_key, 1);

INLINE void count(int cause)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += 1;
}

INLINE void add_call(struct gpu_key *key, u32 pid, u32 flags)
{
    struct took *entry = launches_entry(key, pid, flags);
    if (entry)
        entry->n++;
    else
        count(NO_ENTRY);
}

INLINE int finish(void *ctx, struct walk *w)
{
    int zero = 0;
    struct gpu_key *key = pending.lookup(&zero);
    if (!key)
        return 0;
    key->stack = publish(w);
    add_call(key, w->s.pid, w->s.flags);
    struct moment *m = key->stack ? moments.ringbuf_reserve(sizeof(*m)) : 0;
    if (!m) {
        if (key->stack)
            count(NO_ROOM);
        return 0;
    }
    m->time_ns = bpf_ktime_get_ns();
    m->stack = key->stack;
    m->start_ns = w->s.start_ns;
    m->pid = w->s.pid;
    m->tid = key->tid;
    m->flags = w->s.flags;
    m->unused = 0;
    moments.ringbuf_submit(m, NO_WAKEUP);
    return 0;
}

static u64 (*attach_cookie)(void *) = (void *)174; /* bpf_get_attach_cookie, from 5.15 on */

#if X86

INLINE void read_launch(struct pt_regs *regs, struct gpu_key *key)
{
    u32 more[4] = {}; /* block_z, shared memory: the stack's words are of 8 bytes */
    key->function = regs->rdi;
    key->grid_x = regs->rsi;
    key->grid_y = regs->rdx;
    key->grid_z = regs->rcx;
    key->block_x = regs->r8;
    key->block_y = regs->r9;
    if (read_user(more, sizeof(more), (void *)(regs->rsp + 8)))
        count(UNREADABLE);
    key->block_z = more[0];
    key->amount = more[2];
}

INLINE void read_launch_ex(struct pt_regs *regs, struct gpu_key *key)
{
    struct launch_config config = {};
    key->function = regs->rsi;
    if (read_user(&config, sizeof(config), (void *)regs->rdi))
        count(UNREADABLE);
    key->grid_x = config.grid_x;
    key->grid_y = config.grid_y;
    key->grid_z = config.grid_z;
    key->block_x = config.block_x;
    key->block_y = config.block_y;
    key->block_z = config.block_z;
    key->amount = config.shared;
}

int on_call(struct pt_regs *regs)
{
    u64 id = bpf_get_current_pid_tgid(), cookie = attach_cookie(regs), now = bpf_ktime_get_ns();
    u32 pid = id >> 32, shape = cookie & ((1 << SHAPE_BITS) - 1);
    int zero = 0;
    if (FILTERED && !wanted(pid))
        return 0;
    struct gpu_key *key = pending.lookup(&zero);
    struct walk *w = scratch.lookup(&zero);
    if (!key || !w)
        return 0;
    __builtin_memset(key, 0, sizeof(*key));
    key->tid = id;
    key->call = cookie >> SHAPE_BITS;
    if (shape == LAUNCH)
        read_launch(regs, key);
    else if (shape == LAUNCH_EX)
        read_launch_ex(regs, key);
    else if (shape == BYTES_2)
        key->amount = regs->rsi;
    else if (shape == BYTES_3)
        key->amount = regs->rdx;
    else if (shape == BYTES_5)
        key->amount = regs->r8;
    if (!STACKS || !may_walk(now, 0)) {
        if (STACKS)
            count(NOT_WALKED);
        add_call(key, pid, 0);
        return 0;
    }
    u64 start_ns = 0;
    u64 seed = stack_seed(&start_ns);
    begin_user_walk(w, pid, seed, start_ns);
    walk_user(regs, w, 0);
    return finish(regs, w);
}

#else

int on_call(struct pt_regs *regs)
{
    return 0; /* where arguments are is known of x86 alone */
}

#endif
