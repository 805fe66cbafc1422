"""Frames of CPython 3.9 to 3.14 in other processes.

Gives what a walk in the kernel has to know, names and lines for what it saw, and its place in a native stack. Reads
memory, ELF files and symbol tables that other people control, and believes none of them. x86-64 and glibc.
"""

from aperture_tui.symbolize.cpython.binary import binary_cache, is_python
from aperture_tui.symbolize.cpython.codes import HIDDEN
from aperture_tui.symbolize.cpython.errors import CPythonError, CPythonNotReady
from aperture_tui.symbolize.cpython.interpreter import CODE_MASK, ENTRY, Interpreter
from aperture_tui.symbolize.cpython.layout import Walk
from aperture_tui.symbolize.cpython.merge import Merged, is_eval_name, merge

__all__ = [
    "CODE_MASK",
    "ENTRY",
    "HIDDEN",
    "CPythonError",
    "CPythonNotReady",
    "Interpreter",
    "Merged",
    "Walk",
    "binary_cache",
    "is_eval_name",
    "is_python",
    "merge",
]
