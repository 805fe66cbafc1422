"""A synthetic cupti-python, for tests: over tests/programs/synthetic_cupti.c, with no GPU behind it."""
