"""The compiling child: BCC and LLVM live and die in this process, so the profiler never carries their 100 MB.

Reads a JSON list of requests on stdin {source, defines, programs: {function: type}, tracepoint}, writes one JSON answer
on stdout: {"objects": [...]} or {"error": text, "at": number of the request}. Started by collect.compiler, never
imported by it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from typing import Any

from aperture_tui.collect.machine import Machine
from aperture_tui.collect.object_code import MapSpec, ObjectCode, ProgramSpec, relink
from aperture_tui.collect.requirements import bcc_folder


def _bcc() -> Any:
    """The bcc package; the distribution's is made for its own interpreter, but pure ctypes, so ours may use it too."""
    if folder := bcc_folder(Machine()):
        sys.path.append(str(folder))
    import bcc

    return bcc


def compiled(request: dict[str, Any]) -> ObjectCode:
    """Compile the request's source. BCC makes the maps while it compiles; they vanish with this process."""
    bcc = _bcc()
    flags = ["-g0", *(f"-D{name}={value}" for name, value in request["defines"].items())]  # nobody debugs it here
    module = bcc.BPF(text=request["source"], cflags=flags)
    maps, numbers = _maps(module)
    programs = []
    for name, kind in request["programs"].items():
        code = module.dump_func(name.encode())
        if code is None:
            raise ValueError(f"the source has no function {name!r}")
        programs.append(ProgramSpec(name, kind, relink(bytes(code), numbers), request["tracepoint"]))
    return ObjectCode(tuple(maps), tuple(programs))


def _maps(module: Any) -> tuple[list[MapSpec], dict[int, int]]:
    """The module's maps, and descriptor -> place among them. Not all of these functions are declared by bcc.py."""
    from bcc.libbcc import lib

    def ask(name: str, result: Any = ctypes.c_size_t) -> Any:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, [ctypes.c_void_p, ctypes.c_size_t]
        return lambda i: function(module.module, i)

    name, fd = ask("bpf_table_name", ctypes.c_char_p), ask("bpf_table_fd_id", ctypes.c_int)
    numbers = [ask(f"bpf_table_{field}_id", ctypes.c_int) for field in ("type", "key_size", "leaf_size")]
    entries, flags = ask("bpf_table_max_entries_id"), ask("bpf_table_flags_id", ctypes.c_int)
    lib.bpf_num_tables.restype, lib.bpf_num_tables.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    specs, places = [], {}
    for i in range(lib.bpf_num_tables(module.module)):
        kind, key_size, value_size = (int(ask_number(i)) for ask_number in numbers)
        specs.append(MapSpec(name(i).decode(), kind, key_size, value_size, int(entries(i)), int(flags(i))))
        places[fd(i)] = i
    return specs, places


def main() -> int:
    """Answer all requests. The compiler's own words go to stderr."""
    answer_to = os.dup(1)
    os.dup2(2, 1)  # whatever bcc prints must not end up in the answer
    objects: list[Any] = []
    answer: dict[str, Any] = {"objects": objects}
    try:
        for request in json.load(sys.stdin):
            objects.append(compiled(request).as_json())
    except Exception as error:  # the parent turns whatever bcc raises into one line
        answer = {"error": f"{type(error).__name__}: {error}", "at": len(objects)}
    with os.fdopen(answer_to, "w") as out:
        json.dump(answer, out)
    sys.stderr.flush()
    os._exit(0)  # bcc's own clean-up would take 50 ms to undo what the kernel undoes anyway


if __name__ == "__main__":
    main()
