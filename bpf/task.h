// SPDX-License-Identifier: GPL-2.0
/*
 * The current thread. From 5.11 on its members are loaded, for the verifier knows what its pointer is; before, a helper
 * reads them, which takes several times as long.
 *
 * Given as defines: TASK_PID, TASK_TGID, TASK_GROUP_LEADER, TASK_START_BOOTTIME, TASK_SELF_EXEC_ID, TASK_SIGNAL,
 * TASK_STACK (offsets in task_struct), SIGNAL_LIVE (in signal_struct), X86.
 */

#define INLINE static inline __attribute__((always_inline))

/* helpers by number: BCC loads all of kallsyms when it sees them by name */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static void *(*current_task_btf)(void) = (void *)158;
struct pt_regs;
static struct pt_regs *(*task_registers)(void *) = (void *)175; /* bpf_task_pt_regs */

/* MEMBER32, MEMBER64: set a variable to a member, by its offset, of what a pointer of the kernel's points to. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define current_task() ((char *)current_task_btf())
#define MEMBER32(to, of, at) asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(to) : "r"(of), "i"(at))
#define MEMBER64(to, of, at) asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(to) : "r"(of), "i"(at))
#else
#define current_task() ((char *)bpf_get_current_task())
#define MEMBER32(to, of, at) read_kernel(&(to), 4, (of) + (at))
#define MEMBER64(to, of, at) read_kernel(&(to), 8, (of) + (at))
#endif

struct thread {
    char *task;
    u32 tid;
    u32 pid;
};

/* One helper for all that is to be known of it. */
INLINE struct thread current_thread(void)
{
    struct thread t = {current_task()};
    MEMBER32(t.tid, t.task, TASK_PID);
    MEMBER32(t.pid, t.task, TASK_TGID);
    return t;
}

/* The process's start, and a number that tells its execs apart. */
INLINE u64 identity(u64 *start_ns)
{
    char *task = current_task(), *leader = 0;
    u64 start = 0, exec = 0;
    MEMBER64(leader, task, TASK_GROUP_LEADER);
    MEMBER64(start, leader, TASK_START_BOOTTIME);
    MEMBER64(exec, task, TASK_SELF_EXEC_ID);
    *start_ns = start;
    return start * 31 + exec;
}

/* Whether the thread that exits is its process's last: the first may end long before. */
INLINE bool is_last_thread(void)
{
    char *task = current_task(), *signal = 0;
    u32 live = 0;
    MEMBER64(signal, task, TASK_SIGNAL);
    MEMBER32(live, signal, SIGNAL_LIVE);
    return !live;
}

#if X86

#define USER32_CS 0x23 /* __USER32_CS (arch/x86/include/asm/segment.h) */

struct pt_regs {
    unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags,
        rsp, ss;
};

/* The registers with which a thread came into the kernel; REGISTER sets a variable to one of them. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
#define saved_registers(task) task_registers(task)
#define REGISTER(to, saved, name) MEMBER64(to, saved, __builtin_offsetof(struct pt_regs, name))
#else
INLINE struct pt_regs *saved_registers(char *task)
{
    char *stack = 0;
    MEMBER64(stack, task, TASK_STACK);
    return (struct pt_regs *)(stack + 16384) - 1; /* THREAD_SIZE of x86_64 without KASAN */
}
#define REGISTER(to, saved, name) read_kernel(&(to), 8, &(saved)->name)
#endif

#endif
