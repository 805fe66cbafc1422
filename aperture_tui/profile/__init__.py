"""The data: symbols, events, queries and what is computed from them.

Pure: numpy in, numpy out; no input or output, no threads, nothing else of ours. Nothing is imported here,
so that the screens can take `query` and `health` without paying for numpy.
"""
