// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that are off the CPU: what bpf/offcpu.bpf.c notes of them, and bpf/wakes.bpf.c looks at.
 *
 * Given as defines: SLOTS (threads, a power of two).
 */

/* a thread that is off the CPU, or was last */
struct off {
    u64 out_ns; /* 0: it is on one */
    u64 woken_ns;
    u64 stack;
    u64 process_ns; /* the process's start, CLOCK_BOOTTIME */
    u64 last_ns;    /* what its last wait took */
    u64 in_ns;      /* when it last came */
    u64 delay_ns;   /* what it had waited for CPUs in all its life, when it left */
    u32 tid;
    u32 pid;
    u32 why;   /* system call, or NO_CALL; state << 16 */
    u32 flags; /* of the stack */
    char comm[16];
};

enum { NO_ENTRY, NO_SLOT, NO_ROOM, UNTOLD, SHORT, SHORT_NS, COUNTERS };
/* losses by cause, and what was too short; filled here, read by collect/offcpu.py */
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
/* threads by their number; filled by bpf/offcpu.bpf.c, read by collect/offcpu.py through mmap */
BPF_F_TABLE("array", u32, struct off, off_slots, SLOTS, 1024);

INLINE void count(int cause, u64 by)
{
    u64 *n = counters.lookup(&cause);
    if (n)
        *n += by;
}
