"""Where CPython 3.9 to 3.12 keep what a walk of frames needs, and what of it the walk in the kernel is told.

The offsets are facts of x86-64 release builds, from the debug information of 3.9.18, 3.10.13, 3.11.7 and 3.12.1 (gdb's
`ptype /o`). The structs are in Include/cpython/{pystate,code,frameobject}.h and Include/internal/pycore_{runtime,
interp,frame}.h; they do not change between the releases of one minor version. 3.13 and later say it themselves:
`debug_offsets`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

OLDEST: Final = 9
NEWEST: Final = 14
"""The minor versions of CPython 3 whose frames can be read."""
MAX_FRAME: Final = 128
"""Bytes of a frame that the walk reads at most."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What the walk in the kernel has to know of one process. Offsets and sizes in bytes.

    The walk: block = *(fs + tsd_blocks); state = *(block + tsd_value); f = *(state + frame); if cframe >= 0,
    f = *(f + cframe); then for each f until it is 0: read frame_bytes at f, take the words at `code` and `instruction`
    and the byte at `entry`, and go on with the word at `previous`.

    frame_bytes: of a frame to read in one go, at most MAX_FRAME. tsd_blocks: from the thread pointer to the pointer to
    the block of thread-specific data in which the thread state is. tsd_value: of the pointer to the PyThreadState in
    that block. frame: in PyThreadState, of the pointer to the current frame, or to the cframe. cframe: of current_frame
    in _PyCFrame, -1 if PyThreadState points at the frame itself. code, previous, instruction, entry: in the frame.
    entry_from: a frame is an entry frame if the byte at `entry`, unsigned, is not less. The order is that of struct
    python in bpf/unwind_processes.h.
    """

    frame_bytes: int
    tsd_blocks: int
    tsd_value: int
    frame: int
    cframe: int
    code: int
    previous: int
    instruction: int
    entry: int
    entry_from: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The offsets of one version of CPython, in bytes.

    minor: the version is 3.minor. interpreters_head: in _PyRuntime. interpreter_next, threads_head: in
    PyInterpreterState. thread_next, thread_interpreter, thread_id, thread_frame: in PyThreadState. cframe: in
    _PyCFrame, -1 where there is none. frame_code, frame_previous, frame_instruction, frame_entry: in a frame.
    entry_from: see Walk. code_file, code_name, code_lines, code_first_line: in PyCodeObject; code_name is the
    qualified name from 3.11 on. code_start: of the instructions in PyCodeObject, -1 where a frame holds an index and
    not an address.
    ascii_size, compact_size: of what comes before the characters of an ASCII and of another compact str.
    """

    minor: int
    interpreters_head: int
    interpreter_next: int
    threads_head: int
    thread_next: int
    thread_interpreter: int
    thread_id: int
    thread_frame: int
    cframe: int
    frame_code: int
    frame_previous: int
    frame_instruction: int
    frame_entry: int
    entry_from: int
    code_file: int
    code_name: int
    code_lines: int
    code_first_line: int
    code_start: int
    ascii_size: int
    compact_size: int

    @property
    def shim(self) -> bool:
        """Whether an entry frame is no frame of Python but the mark of where the interpreter loop was entered."""
        return self.minor >= 12

    @property
    def code_bytes(self) -> int:
        """How many bytes of a code object hold all that is read of it."""
        ob_type = 8
        return max(ob_type, self.code_file, self.code_name, self.code_lines, self.code_first_line) + 8

    def walk(self, tsd_blocks: int, tsd_value: int) -> Walk:
        """What the kernel is told, with where this process keeps its thread states."""
        last = max(self.frame_code, self.frame_previous, self.frame_instruction, self.frame_entry)
        return Walk(
            frame_bytes=(last + 15) // 8 * 8,
            tsd_blocks=tsd_blocks,
            tsd_value=tsd_value,
            frame=self.thread_frame,
            cframe=self.cframe,
            code=self.frame_code,
            previous=self.frame_previous,
            instruction=self.frame_instruction,
            entry=self.frame_entry,
            entry_from=self.entry_from,
        )


_NINE: Final = Layout(
    minor=9,
    interpreters_head=32,
    interpreter_next=0,
    threads_head=8,
    thread_next=8,
    thread_interpreter=16,
    thread_id=176,
    thread_frame=24,
    cframe=-1,
    frame_code=32,
    frame_previous=24,
    frame_instruction=104,  # int f_lasti: bytes
    frame_entry=0,
    entry_from=0,
    code_file=104,
    code_name=112,
    code_lines=120,  # co_lnotab
    code_first_line=40,
    code_start=-1,
    ascii_size=48,
    compact_size=72,
)

TABLES: Final = {
    9: _NINE,
    10: replace(_NINE, minor=10, frame_instruction=96),  # int f_lasti: code units; the table of lines is co_linetable
    11: Layout(
        minor=11,
        interpreters_head=40,
        interpreter_next=0,
        threads_head=16,
        thread_next=8,
        thread_interpreter=16,
        thread_id=152,
        thread_frame=56,
        cframe=8,
        frame_code=32,
        frame_previous=48,
        frame_instruction=56,  # prev_instr
        frame_entry=68,  # bool is_entry
        entry_from=1,
        code_file=112,
        code_name=128,
        code_lines=136,
        code_first_line=72,
        code_start=184,
        ascii_size=48,
        compact_size=72,
    ),
    12: Layout(
        minor=12,
        interpreters_head=40,
        interpreter_next=0,
        threads_head=72,
        thread_next=8,
        thread_interpreter=16,
        thread_id=136,
        thread_frame=56,
        cframe=0,
        frame_code=0,
        frame_previous=8,
        frame_instruction=56,  # prev_instr
        frame_entry=70,  # owner
        entry_from=3,  # FRAME_OWNED_BY_CSTACK
        code_file=112,
        code_name=128,
        code_lines=136,
        code_first_line=68,
        code_start=192,
        ascii_size=40,
        compact_size=56,
    ),
}
"""By minor version."""
