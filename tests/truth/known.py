"""The programs, and what is known of their stacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from tests.truth.programs import Recipe
from tests.truth.stacks import ANY, Stack

Check = Literal["whole", "in order", "as perf", "guessed"]
"""What is asked of each program: the tests in `test_whole_stacks`."""


@dataclass(frozen=True)
class Known:
    """One program."""

    name: str
    recipe: Recipe
    chains: tuple[Stack, ...]
    """Calls from the outermost function to another one, plain names: wherever that one is, they lead to it."""
    roots: frozenset[str] = frozenset({"main"})
    """The outermost functions that are compared: each stack has one of them."""
    arguments: tuple[str, ...] = ()
    seconds: float = 4
    libraries: dict[str, Recipe] = field(default_factory=dict, hash=False)
    """Built beside it."""
    twin: Recipe | None = None
    """The same with symbols, where it has none."""
    graph: str = "dwarf,16384"
    """How perf is to walk the stack."""
    no_perf: str = ""
    """Why perf is no reference."""
    changes: int = 0
    """How often its code changes while it runs, by dlopen or exec: each time may cost some samples."""
    limit: str = ""
    """What is known not to be unwound, and why."""
    fails: frozenset[Check] = frozenset()
    """What fails of it for that reason, and always: if it does not, the limit is gone, and that is a failure too."""
    own_only: bool = False
    """Compare with perf by the program's own functions: the libraries' would make too many stacks for the samples."""
    never: frozenset[str] = frozenset()
    """Functions that nobody calls: no stack has one."""
    guessed: frozenset[str] = frozenset()
    """Functions that no table covers: samples with one of them must say that a caller was guessed, others must not.
    ANY: all of the program."""

    @property
    def own(self) -> frozenset[str]:
        """Names of the files whose functions are all compared."""
        return frozenset({self.file, *self.libraries})

    @property
    def file(self) -> str:
        """The name of its file, and so of its processes (at most 15 bytes): nobody else's is called like that."""
        return f"truth-{self.name}"


_DEEP: Final = ("main", *(f"f{n}" for n in range(1, 21)))
_CHAIN: Final = tuple((*_DEEP, f"leaf_{what}") for what in ("registers", "array", "variable", "large"))
_PLT: Final = Recipe(("plt.c",), flags=("-fno-builtin", "-fno-pie", "-no-pie", "-Wl,-z,lazy"))
_LEVELS: Final = tuple(f"unsigned long level<{n}>(unsigned long)" for n in range(10, -1, -1))
_DESCEND: Final = ("main.descend",) * 12
_NO_NAMES: Final = "perf does not read Go's own table of functions"
_GO_ROOTS: Final = frozenset({"main.main", "main.main.func1"})
_GO_CHAINS: Final = (("main.main", *_DESCEND, "main.leaf"), ("main.main.func1", "main.beside", "main.leaf"))


def _chain(name: str, *flags: str, arguments: tuple[str, ...] = (), no_perf: str = "", twin: bool = False) -> Known:
    recipe = Recipe(("chain.c",), flags=flags)
    unstripped = Recipe(("chain.c",), flags=tuple(flag for flag in flags if flag != "-s"))
    return Known(name, recipe, _CHAIN, arguments=arguments, no_perf=no_perf, twin=unstripped if twin else None)


def _library(name: str, pad: int) -> Recipe:
    return Recipe(("library.c",), flags=("-shared", "-fPIC", f"-DENTRY={name}", f"-DLEAF={name}_leaf", f"-DPAD={pad}"))


def _c(name: str, *chains: Stack, flags: tuple[str, ...] = (), **more: object) -> Known:
    return Known(name, Recipe((f"{name}.c",), flags=flags), chains, **more)  # type: ignore[arg-type]  # Known's own words


def _large(name: str, cells: int, **more: object) -> Known:
    chain = ("main", "large", "under_large")
    no_perf = "perf copies at most 64 KB of a stack"
    recipe = Recipe(("large.c",), flags=(f"-DCELLS={cells}",))
    return Known(name, recipe, (chain,), no_perf=no_perf, **more)  # type: ignore[arg-type]  # Known's own words


KNOWN: Final = (
    _chain("chain"),
    _chain("stripped", "-s", twin=True),
    _chain("static", "-static", no_perf="perf finds tables by .eh_frame_hdr alone, and a static program has none"),
    _chain("pie", "-static-pie"),
    _chain("deleted", arguments=("delete",), no_perf="perf opens the file when the program is over"),
    _large("large", 1 << 17),
    _large(
        "huge",
        1 << 20,
        limit="a row of a table has no room for a frame over 256 KB: its caller is guessed, and wrong",
        fails=frozenset({"whole", "in order", "guessed"}),
    ),
    _c("recursion", ("main", *("descend",) * 200, "bottom")),
    _c("sorting", ("main", "sorted", ANY, "compare", "weigh")),
    Known("plt", _PLT, (("main", "bound", "ldiv"), ("main", "bound", "ldiv@plt"))),
    Known(
        "binding",
        _PLT,
        (
            ("main", "bound", "ldiv"),
            ("main", "binding", ANY, "ldiv"),
            ("main", "bound", "ldiv@plt"),
            ("main", "binding", "ldiv@plt"),
            ("main", "binding"),
        ),
        arguments=("again",),
        # stacks that end there have none of the functions of the chains: those that have one are in order
        limit="_dl_runtime_resolve has its caller's frame in rbx, which is not followed",
        fails=frozenset({"whole", "as perf", "guessed"}),
    ),
    _c("syscalls", ("main", "reading", "read")),
    _c("clock", ("main", "asking", ANY, "clock_gettime")),
    _c("handlers", ("main", "working", "plain"), ("main", ANY, "on_tick", "handling")),
    Known(
        "elsewhere",
        Recipe(("handlers.c",)),
        (("main", "working", "plain"), ("main", ANY, "on_tick", "handling")),
        arguments=("elsewhere",),
        no_perf="perf copies the handler's stack, not the one that it interrupted",
    ),
    _c(
        "first",
        ("main", "calling", "tiny"),
        ("main", "calling", "tiny", "on_tick", "handling"),
        ("main", "calling", "on_tick", "handling"),
        flags=("-falign-functions=1", "-fno-toplevel-reorder"),
        never=frozenset({"never_called"}),
    ),
    _c("threads", ("first", "first_work"), ("second", "second_work"), roots=frozenset({"main", "first", "second"})),
    _c(
        "late",
        ("main", "work", "alone"),
        ("main", "work_in", "work", "earlier", "earlier_leaf"),
        ("main", "work_in", "work", "later", "later_leaf"),
        flags=("-Wl,-rpath,$ORIGIN",),
        seconds=5.5,
        changes=2,
        libraries={"libearlier.so": _library("earlier", 3), "liblater.so": _library("later", 40)},
    ),
    _c("forks", ("main", "parent_work", "parent_leaf"), ("main", "child_work", "child_leaf")),
    _c(
        "execs",
        ("main", "before", "before_leaf"),
        ("main", "after", "after_leaf"),
        changes=1,
        no_perf="perf takes the mappings from before the exec for those after it, every other time",
    ),
    Known(
        "throws",
        Recipe(("throws.cpp",), "g++"),
        (
            ("main", "catching()", *_LEVELS),
            ("main", "catching()", *_LEVELS, "cxa_throw", "Unwind_RaiseException"),
            # the last thing it does is to write the return address of the frame that it goes to over its own
            ("main", "catching()", *_LEVELS, _LEVELS[-2], "Unwind_RaiseException"),
            ("main", "catching()", ANY, "Unwind_Find_FDE"),
        ),
        own_only=True,
    ),
    _c(
        "realigned",
        ("main", "realigned_on_entry", "realigned", "under_realigned"),
        ("main", "realigned_on_entry", "realigned_variable", "under_realigned"),
    ),
    Known(
        "bare",
        Recipe(("bare.c", "bare_asm.s")),
        (("main", "above_bare", "bare_leaf"), ("main", "above_bare", "bare_caller", "under_bare")),
        guessed=frozenset({"bare_leaf", "bare_caller"}),
        no_perf="perf guesses no caller",
    ),
    Known(
        "deep",
        Recipe(("deep.rs",), "rustc"),
        (("deep::main", *("deep::descend",) * 12, "deep::called", "<deep::Multiplies as deep::Work>::work"),),
        roots=frozenset({"deep::main"}),
    ),
    Known("gopher", Recipe(("gopher.go",), "go"), _GO_CHAINS, _GO_ROOTS, graph="fp"),
    Known("go_strip", Recipe(("gopher.go",), "go", ("-ldflags=-s -w",)), _GO_CHAINS, _GO_ROOTS, no_perf=_NO_NAMES),
    *(
        Known(
            name,
            Recipe(("gocalls.go",), "go with C", flags),
            (("main.main", "main.above", "main.bare"), ("main.main", "main.intoC", ANY, "work", "spin")),
            frozenset({"main.main"}),
            no_perf="perf follows frame pointers from stack to stack, or tables, but not both",
        )
        for name, flags in (("go_calls", ()), ("go_pie", ("-buildmode=pie",)))
    ),
)
