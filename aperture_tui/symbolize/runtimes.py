"""Which language runtime a process is, told by the files it has mapped, and what makes its frames readable.

Each way of making them readable is from the manual of the runtime; a runtime without one shows its own native
functions where the program's should be. CPython's frames are read from its memory, so it is not among these. What has
a reader in `runtime_readers` needs none of it either; of those that cannot be read it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aperture_tui.symbolize.address_space import Mapping


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime.

    name: as its processes are called. mends: what makes it name its code, "" if nothing does. interprets: the program's
    functions are data to it: no sample of them lies in code that has no name, so their absence has to be said.
    """

    name: str
    mends: str = ""
    interprets: bool = False

    @property
    def cause(self) -> str:
        """What to say of processes whose frames cannot be read."""
        if self.mends:
            return f"{self.name} processes without a perf map ({self.mends})"
        return f"{self.name} processes, of which only native frames can be read"


_FILES: Final = {
    r"node|nodejs|libnode\.so.*|deno": Runtime("node", "node --perf-basic-prof"),
    r"libjvm\.so": Runtime("java", "jcmd PID Compiler.perfmap on JDK 17 or later; -XX:+PreserveFramePointer"),
    r"libcoreclr\.so": Runtime("dotnet", "DOTNET_PerfMapEnabled=1"),
    r"beam\.smp|beam\.debug\.smp": Runtime("erlang", "erl +JPperf true"),
    r"libluajit-[\d.]+\.so.*|luajit(-.+)?": Runtime("luajit"),
    r"libpypy[\d.]*-c\.so.*|pypy[\d.]*(-c)?": Runtime("pypy"),
    r"libruby(-?[\d.]+)?\.so.*|ruby[\d.]*": Runtime("ruby", interprets=True),
    r"libphp[\d.]*\.so.*|php(-fpm|-cgi)?[\d.]*": Runtime("php", interprets=True),
    r"libperl\.so.*|perl[\d.]*": Runtime("perl", interprets=True),
    r"liblua[\d.-]*\.so.*|lua[\d.]*": Runtime("lua", interprets=True),
}
_KNOWN: Final = [(re.compile(pattern), runtime) for pattern, runtime in _FILES.items()]
NAMELESS: Final = "processes that run code in anonymous memory without a perf map"
"""What to say of one that is no runtime that we know."""


def runtime_of_file(module: str) -> Runtime | None:
    """The runtime that a mapped file of this base name belongs to."""
    return next((runtime for pattern, runtime in _KNOWN if pattern.fullmatch(module)), None)


def runtime_of(mappings: Iterable[Mapping]) -> Runtime | None:
    """The runtime of a process with these mappings. One that makes code comes before one that interprets."""
    found = [runtime for m in mappings if m.has_file and (runtime := runtime_of_file(m.module)) is not None]
    return min(found, key=lambda runtime: runtime.interprets, default=None)
