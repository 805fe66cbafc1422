// SPDX-License-Identifier: GPL-2.0
/*
 * What processes do to the tables of unwind.h: a forked child has its parent's mappings, an exec and an exit end them.
 *
 * Given as defines: those of task.h.
 */

#include "unwind_processes.h"

/* processes that found no room; filled here, read by collect/unwind */
BPF_PERCPU_ARRAY(unwind_lost, u64, 1);

INLINE void forget(u32 pid)
{
    unwind_processes.delete(&pid);
    unwind_interpreters.delete(&pid);
    unwind_asked.delete(&pid);
    pid |= ASKED_CODE;
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
    struct interpreter *interpreter = unwind_interpreters.lookup(&parent);
    bool full = slice && unwind_processes.update(&child, slice);
    full |= interpreter && unwind_interpreters.update(&child, interpreter);
    u64 *lost = unwind_lost.lookup(&zero);
    if (full && lost)
        *lost += 1;
    return 0;
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    forget(bpf_get_current_pid_tgid() >> 32);
    return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    if (is_last_thread())
        forget(bpf_get_current_pid_tgid() >> 32);
    return 0;
}
