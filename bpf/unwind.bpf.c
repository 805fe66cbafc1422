// SPDX-License-Identifier: GPL-2.0
/*
 * What processes do to the tables of unwind.h: a forked child has its parent's mappings, an exec and an exit end them.
 *
 * Given as defines, from BTF: TASK_TGID, TASK_SIGNAL (offsets in task_struct), SIGNAL_LIVE (in signal_struct).
 */

struct slice {
    u32 first;
    u32 count;
};

struct python {
    u32 word[10];
};

/* as in unwind.h; filled by collect/unwind, copied and deleted here */
BPF_HASH(unwind_processes, u32, struct slice, 16384);
BPF_HASH(unwind_python, u32, struct python, 4096);
BPF_TABLE("lru_hash", u32, u64, unwind_asked, 8192);
/* processes that found no room; filled here, read by collect/unwind */
BPF_PERCPU_ARRAY(unwind_lost, u64, 1);

static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;

static inline void forget(u32 pid)
{
    unwind_processes.delete(&pid);
    unwind_python.delete(&pid);
    unwind_asked.delete(&pid);
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0, zero = 0;
    read_kernel(&child, sizeof(child), (char *)ctx->args[1] + TASK_TGID);
    if (child == parent)
        return 0; /* a thread */
    forget(child); /* whoever had this pid before is gone */
    struct slice *slice = unwind_processes.lookup(&parent);
    struct python *python = unwind_python.lookup(&parent);
    if (slice && unwind_processes.update(&child, slice)) {
        u64 *lost = unwind_lost.lookup(&zero);
        if (lost)
            *lost += 1;
    }
    if (python)
        unwind_python.update(&child, python);
    return 0;
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    forget(bpf_get_current_pid_tgid() >> 32);
    return 0;
}

/* The last thread's; the first may end long before. */
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    char *task = (char *)bpf_get_current_task(), *signal = 0;
    u32 live = 0;
    read_kernel(&signal, sizeof(signal), task + TASK_SIGNAL);
    read_kernel(&live, sizeof(live), signal + SIGNAL_LIVE);
    if (!live)
        forget(bpf_get_current_pid_tgid() >> 32);
    return 0;
}
