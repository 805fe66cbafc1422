"""Where a command's data goes: a file or stdout, a terminal or a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

from aperture_tui.cli.arguments import fail

_WIDTH: Final = 100


def write(program: str, data: bytes, output: str | None) -> int:
    """All of it -> exit status. As bytes: data is UTF-8 whatever the locale is. output: a file, else stdout."""
    try:
        if output:
            _write_file(output, data)
        else:
            with open(1, "wb", closefd=False) as out:  # sys.stdout is None where it is closed
                out.write(data)
    except BrokenPipeError:  # the reader has seen enough; nothing may be said of it when Python flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        return fail(program, f"{output or 'stdout'}: {error.strerror}")
    return 0


def _write_file(path: str, data: bytes) -> None:
    """A part of a flame graph or of JSON is neither: of a plain file that gets no more nothing is left."""
    with open(path, "wb", buffering=0) as file:
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError:
            from aperture_tui.recording.writer import remove_open  # most files have room

            remove_open(path, file.fileno())
            raise


def width(output: str | None) -> int:
    """Cells of a line: those of the terminal, and of everything else enough for a screen."""
    return shutil.get_terminal_size((_WIDTH, 24)).columns if to_terminal(output) else _WIDTH


def colours(output: str | None) -> bool:
    """Colours are for people, and not for all of them (https://no-color.org)."""
    return to_terminal(output) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def to_terminal(output: str | None) -> bool:
    """Whether it is a person that reads what goes there."""
    return not output and sys.stdout is not None and sys.stdout.isatty()
