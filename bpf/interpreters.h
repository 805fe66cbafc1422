// SPDX-License-Identifier: GPL-2.0
/*
 * Frames of interpreters, and of code that a runtime has made, as the runtime's own data say: those of V8 and of
 * HotSpot's interpreter are put in the place of native ones as they are met; those of CPython, two words each, are
 * merged with the native ones in user space.
 *
 * Given as defines: those of walk.h.
 */

#include "walk.h"

#if UNWIND_ROWS

/* A frame of V8, which is in w->frame from its function on: where it is a function's, that stands for code that was
 * made of it, or runs its bytecode. Its SharedFunctionInfo is sent: it is the one of the two that the collector hardly
 * ever moves. What bytecode calls for itself is left out; a builtin that was interrupted and has no frame is sent, and
 * whose frame it ran in. The frame: src/execution/frame-constants.h of V8. */
#define V8_FUNCTION_DATA 8 /* of SharedFunctionInfo: a small integer for a builtin, of which the pc says as much */
INLINE void javascript(struct walk *w, u64 pc)
{
    struct v8 *v8 = &w->how.v8;
    bool made = w->at.first == ANONYMOUS;
    bool handler = !made && (u32)(pc - w->at.bias) - v8->handlers.start < v8->handlers.size;
    u64 word = w->s.word[(w->n - 1) & (WORDS - 1)], info = 0, data = 1;
    u64 function = w->frame[0], context = w->frame[1];
    if (!(context & 1)) { /* the type of the frame, which is no function's */
        w->n -= handler;
        w->s.user -= handler;
        return;
    }
    if ((function & 3) != 1 || !read_word(&info, function - 1 + v8->shared) || (info & 3) != 1)
        return;
    if (!made && (!read_word(&data, info - 1 + V8_FUNCTION_DATA) || !(data & 1)))
        return;
    if (made || handler || !(word & EXACT)) {
        w->n--;
        w->s.user--;
    }
    put(w, (info & (OBJECT - 1)) | OBJECT);
}

/* A frame of HotSpot's interpreter, which rbp points into: the method in it stands for it. The caller's stack ends where
 * the frame says; locals of its own lie between. */
INLINE int interpreted(struct walk *w, u64 sp, u64 bp)
{
    if (read_user(w->frame, 40, (void *)(bp - 24)))
        return stop(w, FAULT);
    u64 method = w->frame[0] & (OBJECT - 1), caller = w->frame[2];
    w->s.word[(w->n - 1) & (WORDS - 1)] = method | OBJECT;
    w->s.hash = mix(w->s.hash, method);
    if (caller <= sp)
        return stop(w, STUCK);
    w->bp = w->frame[3];
    w->ip = w->frame[4];
    w->sp = caller;
    return 0;
}

INLINE u64 member(struct walk *w, u32 offset)
{
    return w->frame[offset >> 3 & 31];
}

/* Tail: some frames of CPython, leaf first, then itself again, or on to the native ones. */
#define PYTHON_AT_ONCE 64
int python(void *ctx)
{
    u32 zero = 0;
    struct walk *w = scratch.lookup(&zero);
    if (!w)
        return 0;
    struct python *how = &w->how.python;
    u64 at = w->next_python;
    if (!w->s.python && read_word(&at, w->thread_pointer + how->tsd_blocks) && read_word(&at, at + how->tsd_value) && at &&
        read_word(&at, at + how->frame) && how->cframe >= 0)
        read_word(&at, at + how->cframe);
    u32 size = how->frame_bytes;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < PYTHON_AT_ONCE; i++) {
        if (!at)
            break;
        if (read_user(w->frame, size & 255, (void *)at)) {
            at = 0;
            break;
        }
        u32 entry = member(w, how->entry) >> ((how->entry & 7) * 8) & 0xff;
        u64 code = member(w, how->code), instruction = member(w, how->instruction);
        code = entry >= how->entry_from ? code | EXACT : code & ~EXACT;
        w->s.word[w->n & (WORDS - 1)] = code;
        w->s.word[(w->n + 1) & (WORDS - 1)] = instruction;
        w->s.hash = mix(mix(w->s.hash, code), instruction);
        w->n += 2;
        w->s.python += 2;
        at = member(w, how->previous);
    }
    w->next_python = at;
    if (at && w->s.python < 2 * MAX_PYTHON)
        tails.call(ctx, TAIL_PYTHON);
    tails.call(ctx, TAIL_UNWIND);
    return finish(ctx, w);
}

#endif
