"""Benchmarks of the fleet: a store of many rows and what it answers. docs/capacity.md says how to read them."""
