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

/* All of these are made by collect/unwind, and are the same in every program. */
/* pid -> its slice; copied by fork, deleted by exec and exit in unwind.bpf.c */
BPF_HASH(unwind_processes, u32, struct slice, 16384);
/* pid -> how to read its Python frames; likewise */
BPF_HASH(unwind_python, u32, struct python, 4096);
/* pid -> when it may be asked for again, CLOCK_MONOTONIC; filled here, and by collect/unwind to put it off */
BPF_TABLE("lru_hash", u32, u64, unwind_asked, 8192);
