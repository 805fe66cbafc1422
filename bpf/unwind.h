// SPDX-License-Identifier: GPL-2.0
/*
 * User stacks without frame pointers: the part that every program shares which wants a user stack.
 *
 * A stack is walked by the rows that collect/unwind made of .eh_frame (layout: symbolize/unwind_layout.py). Where no
 * row covers the code, one step is guessed by rbp; where the process is not known, the kernel walks by frame pointers.
 * Which of them it was, and why a walk ended early, is in the flags. The frames of CPython are read on the way: two
 * words each, merged with the native ones in user space.
 *
 * A program that includes this declares `finish`, which gets the walk when it is done, lists `unwind` and `python`
 * among its programs, and begins with `begin_walk` and `walk_user`. The walk is done in tail calls, so that each
 * program is small for the verifier; its state is in the scratch map, so that the verifier sees unknown numbers only.
 *
 * Given as defines: TASK_FLAGS, TASK_MM, TASK_FSBASE (offsets in task_struct), and those of interpreters.h.
 */

#include "interpreters.h"

/* include/linux/sched.h: PF_KTHREAD, PF_IO_WORKER, and since it is there PF_USER_WORKER, which was another one's bit */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define TASK_WITHOUT_USER 0x00204010
#else
#define TASK_WITHOUT_USER 0x00200010
#endif

/* Clear the walk and take the kernel stack. */
INLINE void begin_walk(void *ctx, struct walk *w, u32 pid, u64 seed, u64 start_ns)
{
    begin_user_walk(w, pid, seed, start_ns);
    long bytes = bpf_get_stack(ctx, w->s.word, MAX_KERNEL * 8, 0);
    u32 n = bytes > 0 ? bytes >> 3 : 0;
    if (n)
        w->s.flags |= KERNEL_MODE;
    if (n >= MAX_KERNEL)
        w->s.flags |= TRUNCATED;
    w->s.kernel = n;
    hash_words(w, n);
}

/* The user stack as the kernel walks it: by frame pointers. */
INLINE void walk_frame_pointers(void *ctx, struct walk *w, u32 stop)
{
    long bytes = bpf_get_stack(ctx, &w->s.word[w->n & (WORDS / 2 - 1)], MAX_KERNEL * 8, USER_STACK);
    u32 n = bytes > 0 ? bytes >> 3 : 0;
    w->s.flags |= FRAME_POINTERS | stop;
    if (!n)
        w->s.flags |= NO_USER_STACK;
    if (n >= MAX_KERNEL)
        w->s.flags |= TRUNCATED;
    w->s.user = n;
    hash_words(w, n);
}

#define ASK_NEW_NS 1000000
#define ASK_NS 5000000

/* Have collect/unwind look at a process: a new one every millisecond at most, for its loader goes on mapping; another
 * one every 5 ms, or as late as collect/unwind has said. */
INLINE void ask(u32 pid, u32 stop)
{
    u32 key = stop == NO_ROW ? pid | ASKED_CODE : pid;
    u64 now = bpf_ktime_get_ns(), *after = unwind_asked.lookup(&key);
    if (after && now < *after)
        return;
    u64 next = now + (stop == NO_TABLES ? ASK_NEW_NS : ASK_NS);
    struct request request = {pid, stop};
    unwind_asked.update(&key, &next);
    if (unwind_requests.ringbuf_output(&request, sizeof(request), NO_WAKEUP))
        unwind_asked.delete(&key); /* the ring is full: the next sample asks again */
}

#if UNWIND_ROWS

/* x86-64, under the names of user space (arch/x86/include/uapi/asm/ptrace.h); the context of a perf event begins so */
/* All ones when a <= b, both below 2^63, without a branch that the verifier would have to follow. */
INLINE u64 not_above(u64 a, u64 b)
{
    return (u64)((s64)(a - b - 1) >> 63);
}

INLINE bool find_mapping(struct walk *w, struct mapping *mappings, u64 pc)
{
    u32 at = w->slice.first, n = w->slice.count;
#pragma clang loop unroll(disable)
    for (int i = 0; i < 12; i++) { /* 4096 mappings; always as often: a break costs verified instructions */
        u32 half = n >> 1;
        at += half & (u32)not_above(mappings[(at + half) & (UNWIND_MAPPINGS - 1)].start, pc);
        n -= half;
    }
    struct mapping *found = &mappings[at & (UNWIND_MAPPINGS - 1)];
    if (!w->slice.count || pc < found->start || pc >= found->end)
        return false;
    w->at = *found;
    return true;
}

/* The row that holds for pc, 0 where there is none. */
INLINE u64 find_row(struct mapping *m, u32 pc)
{
    u32 at = m->first, n = m->rows, bank = at / UNWIND_ROWS, zero = 0;
    void *map = unwind_rows.lookup(&bank);
    if (!map)
        return 0;
    u64 *rows = value_in(map, &zero);
    if (!rows)
        return 0;
#pragma clang loop unroll(disable)
    for (int i = 0; i < 22; i++) { /* 4M rows */
        u32 half = n >> 1;
        at += half & (u32)not_above(rows[(at + half) & (UNWIND_ROWS - 1)] >> 32, pc);
        n -= half;
    }
    u64 row = rows[at & (UNWIND_ROWS - 1)];
    return m->rows && row >> 32 <= pc ? row : 0;
}

/* No row covers the code: take it for a function that keeps its frame pointer. */
INLINE int guess(struct walk *w, u64 pc, u64 sp, u64 bp)
{
    if (w->at.first == PENDING)
        return stop(w, NO_TABLES);
    w->s.flags |= GUESSED;
    if (!bp && w->at.first != ANONYMOUS && !w->unknown)
        return stop(w, WHOLE); /* the outermost frame has an rbp of 0: System V ABI, AMD64, 3.4.1 */
    if (bp < sp || bp & 7)
        return stop(w, NO_ROW);
    if (w->how.v8.shared) {
        if (read_user(w->frame, 32, (void *)(bp - 16)))
            return stop(w, NO_ROW);
        w->bp = w->frame[2];
        w->ip = w->frame[3];
        javascript(w, pc);
    } else if (!read_word(&w->ip, bp + 8) || !read_word(&w->bp, bp))
        return stop(w, NO_ROW);
    w->sp = bp + 16;
    return 0;
}

INLINE int signal_frame(struct walk *w, u64 sp)
{
    if (!read_word(&w->ip, sp + 168) || !read_word(&w->sp, sp + 160) || !read_word(&w->bp, sp + 120))
        return stop(w, FAULT);
    w->exact = 1;
    return 0;
}

/* One frame -> whether the walk is over. */
INLINE int step(struct walk *w, struct mapping *mappings)
{
    u64 pc = w->ip, sp = w->sp, bp = w->bp, cfa = 0;
    if (!pc)
        return stop(w, w->s.user ? NO_ROW : NO_USER_STACK | NO_ROW);
    if (w->s.user >= MAX_USER)
        return stop(w, TOO_DEEP | TRUNCATED);
    u64 word = w->exact ? pc | EXACT : pc;
    put(w, word);
    if (!w->exact)
        pc--; /* the call, not what follows it */
    w->exact = 0;
    if ((pc < w->at.start || pc >= w->at.end) && !find_mapping(w, mappings, pc))
        return stop(w, NO_MAPPING);
    u64 row = find_row(&w->at, (u32)(pc - w->at.bias));
    u32 cfa_rule = row >> 8 & 15, bp_rule = row >> 12 & 15;
    s64 offset = (s16)(row >> 16), saved = (s64)(s8)row * 8;
    if (cfa_rule == 1)
        cfa = sp + offset;
    else if (cfa_rule == 2 || cfa_rule == 9) /* 9: on another stack */
        cfa = bp + offset;
    else if (cfa_rule == 8) /* a frame of 32 KB and more */
        cfa = sp + offset * 8;
    else if (cfa_rule == 3) /* procedure linkage table */
        cfa = sp + 8 + ((w->ip & 15) >= (u64)offset ? 8 : 0);
    else if (cfa_rule == 4 || cfa_rule == 7) {
        if (!read_word(&cfa, (cfa_rule == 4 ? bp : sp) + offset))
            return stop(w, FAULT);
        cfa += cfa_rule == 7 ? 8 : 0;
    } else if (cfa_rule == 5)
        return signal_frame(w, sp);
    else if (cfa_rule == 6)
        return stop(w, WHOLE);
    else if (cfa_rule == 10)
        return interpreted(w, sp, bp);
    else if (cfa_rule == 12)
        return stop(w, FROZEN);
    else {
        w->unknown |= cfa_rule == 11;
        return guess(w, pc, sp, bp);
    }
    if (!read_word(&w->ip, cfa - 8))
        return stop(w, FAULT);
    if (bp_rule == 2)
        w->bp = 1; /* unknown: no guess can come of it */
    else if (bp_rule && !read_word(&w->bp, (bp_rule == 1 ? cfa : bp) + saved))
        return stop(w, FAULT);
    if (cfa <= sp && cfa_rule != 9)
        return stop(w, STUCK);
    w->sp = cfa;
    return 0;
}

/* Tail: some frames, then itself again. 33 tail calls are the kernel's limit. */
#define FRAMES_AT_ONCE 16
int unwind(void *ctx)
{
    u32 zero = 0;
    struct walk *w = scratch.lookup(&zero);
    struct mapping *mappings = unwind_mappings.lookup(&zero);
    if (!w || !mappings)
        return 0;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < FRAMES_AT_ONCE; i++)
        if (step(w, mappings))
            return finish(ctx, w);
    tails.call(ctx, TAIL_UNWIND);
    w->s.flags |= TOO_DEEP | TRUNCATED;
    return finish(ctx, w);
}

/* The user's registers: those that were interrupted, or those that were saved on the way into the kernel. */
INLINE u64 take_registers(struct walk *w, struct pt_regs *interrupted)
{
    u64 cs = 0;
    char *task = current_task();
    if (interrupted && (interrupted->cs & 3)) {
        w->ip = interrupted->rip;
        w->sp = interrupted->rsp;
        w->bp = interrupted->rbp;
        cs = interrupted->cs;
    } else {
        struct pt_regs *saved = saved_registers(task);
        REGISTER(w->ip, saved, rip);
        REGISTER(w->sp, saved, rsp);
        REGISTER(w->bp, saved, rbp);
        REGISTER(cs, saved, cs);
    }
    MEMBER64(w->thread_pointer, task, TASK_FSBASE);
    return cs;
}

/* Walk by tables, in tail calls: then it does not come back -> why it did, a Stop. */
INLINE u32 walk_tables(void *ctx, struct walk *w, struct pt_regs *interrupted)
{
    u32 pid = w->s.pid;
    struct slice *slice = unwind_processes.lookup(&pid);
    if (!slice) {
        ask(pid, NO_TABLES);
        return NO_TABLES;
    }
    if (take_registers(w, interrupted) == USER32_CS)
        return FOREIGN;
    w->slice = *slice;
    w->exact = 1;
    w->at.start = 1;
    w->at.end = 0;
    struct interpreter *how = unwind_interpreters.lookup(&pid);
    w->how.v8.shared = 0;
    if (how) {
        w->how = *how;
        w->next_python = 0;
        if (how->python.frame_bytes)
            tails.call(ctx, TAIL_PYTHON);
    }
    tails.call(ctx, TAIL_UNWIND);
    return UNSUPPORTED;
}

#else

INLINE u32 walk_tables(void *ctx, struct walk *w, void *interrupted)
{
    return UNSUPPORTED;
}

#endif

/* Walk the user stack: by tables, and then it does not come back; or else by frame pointers. interrupted: the
 * registers of a perf event, or 0. */
INLINE void walk_user(void *ctx, struct walk *w, void *interrupted)
{
    char *task = current_task(), *mm = 0;
    u32 flags = 0;
    MEMBER32(flags, task, TASK_FLAGS);
    MEMBER64(mm, task, TASK_MM);
    if (flags & TASK_WITHOUT_USER || !mm) /* it has no user stack, or none any more: it is exiting */
        w->s.flags |= WHOLE;
    else
        walk_frame_pointers(ctx, w, walk_tables(ctx, w, interrupted));
}
