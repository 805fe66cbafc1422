// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of processes for unwinding: the maps that every program of the unwinder shares.
 *
 * Given as defines: those of task.h.
 */

#include "task.h"

/* a process's mappings: a slice of unwind_mappings, in order */
struct slice {
    u32 first;
    u32 count;
};

/* how to walk the frames of an interpreter: symbolize.cpython.layout.Walk */
struct python {
    u32 frame_bytes;
    u32 tsd_blocks;
    u32 tsd_value;
    u32 frame;
    s32 cframe;
    u32 code;
    u32 previous;
    u32 instruction;
    u32 entry;
    u32 entry_from;
};

/* addresses of a file, less the bias of its mapping: as its rows have them */
struct span {
    u32 start;
    u32 size;
};

/* how to read the functions of a V8: symbolize.v8.layout.Walk */
struct v8 {
    u32 shared;
    struct span handlers;
};

/* what is read of a process's frames beside their addresses */
struct interpreter {
    struct python python; /* frame_bytes 0: it is no CPython */
    struct v8 v8;         /* shared 0: it is no V8 */
};

/* All of these are made by collect/unwind, and are the same in every program. */
/* pid -> its slice; copied by fork, deleted by exec and exit in unwind.bpf.c */
BPF_HASH(unwind_processes, u32, struct slice, 16384);
/* pid -> how to read the frames of its interpreter; likewise */
BPF_HASH(unwind_interpreters, u32, struct interpreter, 4096);
/* pid -> when it may be asked for again, CLOCK_MONOTONIC; filled here, and by collect/unwind to put it off */
#define ASKED_CODE (1U << 31) /* with it: for code that is not known yet, and not for mappings */
BPF_TABLE("lru_hash", u32, u64, unwind_asked, 8192);
