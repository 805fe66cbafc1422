"""Profiles that other tools wrote, as a Store: folded stacks, pprof, the text of `perf script`. One importer a file.

Knows profile, store and the wire types. Every file comes from a stranger: what it may cost is bounded, and what could
not be read is counted.
"""
