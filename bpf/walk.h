// SPDX-License-Identifier: GPL-2.0
/*
 * A walk of a stack: what it has found so far, the maps that it is made by, and what every step of it needs.
 *
 * Given as defines: UNWIND_ROWS of each bank, UNWIND_MAPPINGS (powers of two; 0 rows: no unwinder), and those of
 * task.h.
 */

#include "unwind_processes.h"

#define MAX_KERNEL 127 /* kernel.perf_event_max_stack is 127 by default */
#define MAX_USER 512
#define MAX_PYTHON 256
#define WORDS 2048 /* more than all of them together: a power of two, so that an index can be masked */
#define NO_WAKEUP 1    /* BPF_RB_NO_WAKEUP */
#define USER_STACK 256 /* BPF_F_USER_STACK */

/* bits of the flags: profile.kinds.Flag */
#define KERNEL_MODE 1
#define TRUNCATED 2
#define NO_USER_STACK 4
#define WHOLE 32
#define GUESSED 64
#define FRAME_POINTERS 128
/* profile.kinds.Stop, where the flags have it */
#define STOP_BITS 0xf00
#define NO_TABLES (1 << 8)
#define NO_MAPPING (2 << 8)
#define NO_ROW (3 << 8)
#define FAULT (4 << 8)
#define TOO_DEEP (5 << 8)
#define STUCK (6 << 8)
#define FOREIGN (7 << 8)
#define UNSUPPORTED (8 << 8)
#define FROZEN (9 << 8)

#define EXACT (1ULL << 63)    /* of a user address: it was interrupted; the others are return addresses */
#define OBJECT (1ULL << 62)   /* of a user word without EXACT: no address, but what a runtime has for the frame */
#define PENDING 0xffffffffU   /* of a mapping's first row: its table is still being made */
#define ANONYMOUS 0xfffffffeU /* of a mapping's first row: there is no file, it is code of a JIT */

/* one executable mapping of a process; pc - bias is what the rows are sorted by */
struct mapping {
    u64 start;
    u64 end;
    u64 bias;
    u32 first; /* row: the bank, and the place in it; or PENDING, ANONYMOUS */
    u32 rows;
};

struct request {
    u32 pid;
    u32 stop;
};

/* a stack as it is published: `kernel` addresses, then `python` words, then `user` addresses (or objects), each leaf
 * first */
struct stack {
    u64 hash;
    u64 start_ns;
    u32 pid;
    u16 kernel;
    u16 python;
    u16 user;
    u16 unused;
    u32 flags;
    u64 word[WORDS];
};

struct walk {
    u64 ip, sp, bp;
    u32 n;    /* words so far */
    u32 todo; /* of them, to be hashed */
    u32 exact;
    u32 unknown; /* code was met that its runtime has made since collect/unwind looked */
    struct slice slice;
    struct mapping at;
    struct interpreter how;
    u64 thread_pointer;
    u64 next_python; /* frame */
    u64 frame[32];
    struct stack s;
};

/* All of these are made and filled by collect/unwind, and are the same in every program. */
/* rows of all files, in banks, more of which are made when they are needed; those of a file are all in one. It is given
 * as an array of maps: of each the one value is a bank. */
BPF_F_TABLE("array", u32, u64, unwind_rows, 1, 0);
static void *(*value_in)(void *map, const void *key) = (void *)1; /* bpf_map_lookup_elem, of a map found at run time */
/* mappings of all processes, likewise */
BPF_F_TABLE("array", u32, struct mapping, unwind_mappings, 1, 1024);
/* "this process has no tables", "its mappings have changed"; filled here, drained by collect/unwind */
BPF_RINGBUF_OUTPUT(unwind_requests, 16);
/* this program's own: room for one walk per CPU, and the tail calls */
BPF_PERCPU_ARRAY(scratch, struct walk, 1);
BPF_PROG_ARRAY(tails, 3);
#define TAIL_UNWIND 0
#define TAIL_PYTHON 1
#define TAIL_COPY 2 /* of bpf/cpu.bpf.c alone */

INLINE int finish(void *ctx, struct walk *w);

INLINE u64 mix(u64 h, u64 word)
{
    h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
    return h ^ h >> 29;
}

/* Hash the n newest words, of at most MAX_KERNEL. n is read anew each time: the verifier then learns nothing of it, and
 * takes all ways out of the loop for one. */
INLINE void hash_words(struct walk *w, u32 n)
{
    u64 h = w->s.hash;
    w->todo = n;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < MAX_KERNEL; i++) {
        if (i >= *(volatile u32 *)&w->todo)
            break;
        h = mix(h, w->s.word[(w->n + i) & (WORDS - 1)]);
    }
    w->s.hash = h;
    w->n += n;
}

/* Clear the walk. seed: of the hash; what makes equal addresses different stacks. */
INLINE void begin_user_walk(struct walk *w, u32 pid, u64 seed, u64 start_ns)
{
    w->s.hash = seed ^ (u64)pid << 32;
    w->s.start_ns = start_ns;
    w->s.pid = pid;
    w->s.kernel = w->s.python = w->s.user = w->s.unused = 0;
    w->s.flags = 0;
    w->n = w->unknown = 0;
}

INLINE bool read_word(u64 *to, u64 from)
{
    return !read_user(to, 8, (void *)from);
}

INLINE int stop(struct walk *w, u32 how)
{
    w->s.flags |= how;
    return 1;
}

INLINE void put(struct walk *w, u64 word)
{
    w->s.word[w->n & (WORDS - 1)] = word;
    w->s.hash = mix(w->s.hash, word);
    w->n++;
    w->s.user++;
}
