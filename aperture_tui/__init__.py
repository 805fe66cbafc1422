"""Aperture: a live profiler in the terminal. The rooms of this package are described in docs/architecture.md."""

__version__ = "0.1.0"
