"""Agents and the aggregator: what they keep on disk, how pushes travel, are stored exactly once and asked for.

Knows profile, store and recording; gRPC is spoken here and in store/remote alone. What comes from others is judged
before it is used, and every queue has a limit.
"""
