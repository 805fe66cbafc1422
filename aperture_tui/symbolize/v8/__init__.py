"""JavaScript functions of V8 10 and later in other processes: Node.js 18 to 24, as it is started.

Gives what a walk in the kernel has to know, and names, files and lines for the functions that it saw. Reads memory, ELF
files and symbol tables that other people control, and believes none of them. x86-64, without pointer compression.
"""

from aperture_tui.symbolize.v8.binary import binary_cache, is_v8
from aperture_tui.symbolize.v8.layout import Layout, Span, V8Error, Walk
from aperture_tui.symbolize.v8.reader import V8Reader, layout_in

__all__ = ["Layout", "Span", "V8Error", "V8Reader", "Walk", "binary_cache", "is_v8", "layout_in"]
