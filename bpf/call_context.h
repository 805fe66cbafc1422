// SPDX-License-Identifier: GPL-2.0
/*
 * What a tracepoint tells of a system call: of those of all calls (RAW), or of those of a single one.
 *
 * Given as defines: RAW, TASK_STATUS (bpf/calls.bpf.c), X86.
 */

#if RAW

typedef struct bpf_raw_tracepoint_args context; /* sys_enter: registers, number; sys_exit: registers, result */

INLINE u32 number(context *ctx)
{
    return ctx->args[1];
}

INLINE s64 result(context *ctx)
{
    return ctx->args[1];
}

/* Whether it came by the 32-bit way. */
INLINE bool is_compat(char *task)
{
    u32 status = 0;
    if (TASK_STATUS)
        MEMBER32(status, task, TASK_STATUS);
    return status & TS_COMPAT;
}

INLINE void arguments(context *ctx, bool compat, u64 *to)
{
    u64 regs[16];
    read_kernel(regs, sizeof(regs), (void *)ctx->args[0]);
#if X86
    if (compat) {
        to[0] = (u32)regs[5]; /* bx, cx, dx */
        to[1] = (u32)regs[11];
        to[2] = (u32)regs[12];
    } else {
        to[0] = regs[14]; /* di, si, dx */
        to[1] = regs[13];
        to[2] = regs[12];
    }
#else
    to[0] = regs[0];
    to[1] = regs[1];
    to[2] = regs[2];
#endif
}

#else

/* include/trace/syscall.h: what the tracepoints of a single call tell */
typedef struct {
    u64 common;
    u64 nr;
    u64 args[6]; /* args[0] of an exit is the result */
} context;

INLINE u32 number(context *ctx)
{
    return ctx->nr;
}

INLINE s64 result(context *ctx)
{
    return ctx->args[0];
}

INLINE bool is_compat(char *task)
{
    return false; /* these tracepoints do not see 32-bit calls */
}

INLINE void arguments(context *ctx, bool compat, u64 *to)
{
    to[0] = ctx->args[0];
    to[1] = ctx->args[1];
    to[2] = ctx->args[2];
}

#endif
