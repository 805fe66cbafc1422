// SPDX-License-Identifier: GPL-2.0
/*
 * Attached with a pid filter only: what a watched process starts is watched as well.
 *
 * Given as defines: those of task.h.
 */

#include "unwind_processes.h"
#include "filter.h"

/* children that found no room; filled here, read by collect/targets.py */
BPF_PERCPU_ARRAY(filter_lost, u64, 1);

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0, zero = 0;
    u8 one = 1;
    if (!filter_pids.lookup(&parent))
        return 0;
    read_kernel(&child, sizeof(child), (char *)ctx->args[1] + TASK_TGID);
    u64 *lost = filter_lost.lookup(&zero);
    if (child != parent && filter_pids.update(&child, &one) && lost)
        *lost += 1;
    return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (is_last_thread())
        filter_pids.delete(&pid);
    return 0;
}
