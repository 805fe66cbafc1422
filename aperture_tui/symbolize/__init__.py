"""Addresses to frames: kernel symbols, ELF symbol tables, perf maps, demangling.

Gives Frames for the addresses of a stack while its process lives. Reads files and /proc, trusts neither.
Knows profile alone.
"""
