"""Measures the finished commands beside named peers, from outside: processes, pseudo terminals and /proc.

`python -m bench` writes bench/results/latest.md and latest.json; docs/benchmarks.md says how to read them. Knows of
the product only its command lines, its recordings, what loads BPF programs and counts their runs, (for the synthetic
screen) the Store of the screens' tests, (for unwind tables alone) what makes them, and (for the pictures of
docs/tour.md) the screens.
"""
