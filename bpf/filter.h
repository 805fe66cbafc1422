// SPDX-License-Identifier: GPL-2.0
/*
 * What is watched: processes and control groups that the user chose. One set of maps for all programs, made and filled
 * by collect/targets.py; `filter_pids` by fork and exit in filter.bpf.c as well.
 */

struct filter {
    u32 by_pid;
    u32 cgroups;
};

#define MAX_CGROUPS 8

BPF_ARRAY(filter, struct filter, 1);
BPF_HASH(filter_pids, u32, u8, 16384);
BPF_CGROUP_ARRAY(filter_cgroups, MAX_CGROUPS);

/* Whether the current task is watched. */
INLINE bool wanted(u32 pid)
{
    int zero = 0;
    struct filter *f = filter.lookup(&zero);
    if (!f || (f->by_pid && !filter_pids.lookup(&pid)))
        return false;
    if (!f->cgroups)
        return true;
#pragma clang loop unroll(full)
    for (int i = 0; i < MAX_CGROUPS; i++)
        if (i < f->cgroups && filter_cgroups.check_current_task(i) == 1)
            return true;
    return false;
}
