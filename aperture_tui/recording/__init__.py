"""Recordings: Symbols and Batches in a file, append-only, readable up to the last whole block.

Knows profile and store.
"""
