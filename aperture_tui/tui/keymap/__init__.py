"""The user's keys: names of bindings (`ids.py`), what keys mean (`keymap.py`), other alphabets (`layouts.py`).

It knows the bindings of classes and nothing of files: what a user wrote is read by the command line.
"""
