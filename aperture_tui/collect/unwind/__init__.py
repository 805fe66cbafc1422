"""What the BPF unwinder (bpf/unwind.h) searches: unwind rows of files and mappings of processes, kept up to date.

`supply.Supply` is the door: a thread that answers the kernel's requests. Tables are built in a child process.
"""
