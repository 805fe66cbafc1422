// SPDX-License-Identifier: GPL-2.0
/*
 * The peer of bpf/unwind.h: user and kernel stack by bpf_get_stackid, counted in a hash, as BCC's profile does it.
 * With the pid filter of bpf/cpu.bpf.c, so that the runs for other processes cost the same.
 */

#define USER_STACK 256 /* BPF_F_USER_STACK */

struct key {
    u32 pid;
    s32 user;
    s32 kernel;
    char comm[16];
};

/* filled by bench/unwind/stackid.py */
BPF_HASH(pids, u32, u8, 1024);
/* filled here, read by it */
BPF_STACK_TRACE(addresses, 16384);
BPF_HASH(counts, struct key, u64, 16384);

int sample(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (!pid || !pids.lookup(&pid))
        return 0;
    struct key key = {.pid = pid};
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    key.user = addresses.get_stackid(ctx, USER_STACK);
    key.kernel = addresses.get_stackid(ctx, 0);
    u64 one = 1, *n = counts.lookup(&key);
    if (n)
        __sync_fetch_and_add(n, 1);
    else
        counts.update(&key, &one);
    return 0;
}
