"""Line tables of much of the standard library, and what CPython itself makes of them. For CPython 3.9 and later.

Writes JSON: a list of [first line, table in hexadecimal, [[start, end, line or 0], ...]].
"""

import dis
import glob
import json
import os
import sys
import types

MODULES = ("abc", "ast", "asyncio/tasks", "argparse", "dis", "functools", "json/decoder", "re", "typing", "inspect")


def ranges(code):
    if hasattr(code, "co_lines"):
        return [[start, end, line or 0] for start, end, line in code.co_lines()]
    starts = list(dis.findlinestarts(code))
    ends = [start for start, _ in starts[1:]] + [len(code.co_code)]
    return [[start, end, line] for (start, line), end in zip(starts, ends)]  # noqa: B905 3.9 has no strict


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


out = []
library = os.path.dirname(os.__file__)
for module in MODULES:
    for path in glob.glob(os.path.join(library, module + ".py")):
        with open(path, encoding="utf-8") as file:
            whole = compile(file.read(), path, "exec")
        for code in codes(whole):
            table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
            out.append([code.co_firstlineno, table.hex(), ranges(code)])
far = compile("x = 1\n" + "\n" * 5000 + "y = (\n" + "\n" * 700 + "2)\n" + "z = [" + "1+x," * 400 + "]", "far", "exec")
for code in codes(far):
    table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
    out.append([code.co_firstlineno, table.hex(), ranges(code)])
json.dump({"version": sys.version_info[:2], "codes": out}, sys.stdout)
