"""Collectors, one a file: each turns a source of the kernel into Batches, and says in its Health what it lost.

Knows profile and symbolize. `bpf` loads the programs that lie in the folder bpf/.
"""
