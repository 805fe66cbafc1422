"""Where events are kept and questions are answered: one protocol (`base`), and its implementations.

Knows profile alone. Everything that shows or exports data asks a Store; nothing else does.
"""
