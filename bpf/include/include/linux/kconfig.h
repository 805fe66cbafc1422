/* BCC force-includes this file; that it exists is what makes BCC accept the tree. */
#define CONFIG_BPF_SYSCALL 1
