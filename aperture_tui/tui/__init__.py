"""The screens: live, on a recording and on a fleet, out of any Store.

Knows profile, store and export, never a collector. Each widget is a thin shell over a pure renderer (data and size
to rows of spans); numpy is imported by the presenter's thread alone, after the first paint.
"""

import os

# Textual reads it when it is imported, and paints at most so often. A key changes the screen twice, at once and with
# the answer to what it asks for: at Textual's own 60 Hz the second picture waited 16 ms for nothing.
os.environ.setdefault("TEXTUAL_FPS", "240")
