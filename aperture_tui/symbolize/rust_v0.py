"""Rust names of the second kind, `_R…`.

Format: RFC 2603 and the rustc book, "v0 symbol format". Crate hashes and the types of constants are left out, as
rustc-demangle does in its short form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_BASIC: Final = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize", "j": "usize",
    "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16", "u": "()", "v": "...",
    "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_DEPTH: Final = 128
_MAX_OUTPUT: Final = 16_384


class _MalformedError(ValueError):
    """Not a name of this kind, or one that grows beyond the limits."""


def demangle_v0(name: str) -> str | None:
    """The readable form of a name that begins with _R; None if it is malformed, unknown or too large."""
    mangled, dot, suffix = name.removeprefix("_R").partition(".")
    if not mangled.isascii() or not mangled[:1].isupper():
        return None
    parser = _Parser(mangled)
    try:
        parser.path(in_value=True)
        if parser.at < len(mangled):
            parser.quiet += 1
            parser.path(in_value=False)
        if parser.at < len(mangled):
            return None
    except (_MalformedError, IndexError, ValueError, OverflowError):
        return None
    return "".join(parser.out) + ("" if not dot or suffix.startswith("llvm.") else f".{suffix}")


class _Parser:
    """Walks the mangled text once and writes to `out`; back-references walk an earlier part again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.quiet = 0
        self._size = 0
        self._steps = 0
        self._depth = 0
        self._lifetimes = 0

    # -- reading

    def next(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def eat(self, character: str) -> bool:
        if self.text[self.at : self.at + 1] != character:
            return False
        self.at += 1
        return True

    def base62(self) -> int:
        """`_` is 0, otherwise the number before the `_` plus one."""
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            value = value * 62 + _DIGITS.index(self.next())
            if value > 1 << 64:
                raise _MalformedError
        return value + 1

    def optional62(self, tag: str) -> int:
        """0 without the tag, else the number behind it plus one."""
        return self.base62() + 1 if self.eat(tag) else 0

    def identifier(self) -> str:
        punycode = self.eat("u")
        digits = ""
        while self.text[self.at : self.at + 1].isdigit() and (digits != "0"):
            digits += self.next()
        size = int(digits)
        self.eat("_")
        word = self.text[self.at : self.at + size]
        if len(word) < size:
            raise _MalformedError
        self.at += size
        if not punycode:
            return word
        head, _, tail = word.rpartition("_")
        return f"{head}-{tail}".encode("ascii").decode("punycode") if head else word.encode("ascii").decode("punycode")

    # -- writing

    def write(self, text: str) -> None:
        if self.quiet:
            return
        self._size += len(text)
        if self._size > _MAX_OUTPUT:
            raise _MalformedError
        self.out.append(text)

    def enter(self) -> None:
        self._depth += 1
        self._steps += 1
        if self._depth > _MAX_DEPTH or self._steps > _MAX_OUTPUT:
            raise _MalformedError

    def backref(self, what: str, in_value: bool) -> None:
        here = self.at - 1
        target = self.base62()
        if target >= here:
            raise _MalformedError
        if self.quiet:
            return
        back, self.at = self.at, target
        if what == "path":
            self.path(in_value)
        elif what == "type":
            self.type()
        else:
            self.const()
        self.at = back

    # -- the grammar

    def path(self, in_value: bool) -> None:
        self.enter()
        match self.next():
            case "C":
                self.optional62("s")
                self.write(self.identifier())
            case "N":
                self.nested(in_value)
            case "M" | "X" as tag:
                self.optional62("s")
                self.quiet += 1
                self.path(in_value=False)
                self.quiet -= 1
                self.qualified(with_trait=tag == "X")
            case "Y":
                self.qualified(with_trait=True)
            case "I":
                self.path(in_value)
                self.write("::<" if in_value else "<")
                self.separated(self.generic)
                self.write(">")
            case "B":
                self.backref("path", in_value)
            case _:
                raise _MalformedError
        self._depth -= 1

    def nested(self, in_value: bool) -> None:
        space = self.next()
        self.path(in_value)
        number = self.optional62("s")
        name = self.identifier()
        if space.isupper():
            kind = {"C": "closure", "S": "shim"}.get(space, space)
            self.write(f"::{{{kind}{':' if name else ''}{name}#{number}}}")
        elif name:
            self.write(f"::{name}")

    def qualified(self, with_trait: bool) -> None:
        self.write("<")
        self.type()
        if with_trait:
            self.write(" as ")
            self.path(in_value=False)
        self.write(">")

    def separated(self, item: Callable[[], None]) -> int:
        count = 0
        while not self.eat("E"):
            if count:
                self.write(", ")
            item()
            count += 1
        return count

    def generic(self) -> None:
        if self.eat("L"):
            self.lifetime(self.base62())
        elif self.eat("K"):
            self.const()
        else:
            self.type()

    def lifetime(self, index: int) -> None:
        if not index:
            self.write("'_")
            return
        depth = self._lifetimes - index
        if depth < 0:
            raise _MalformedError
        self.write(f"'{chr(ord('a') + depth)}" if depth < 26 else f"'_{depth}")

    def type(self) -> None:
        self.enter()
        tag = self.next()
        if tag in _BASIC:
            self.write(_BASIC[tag])
        elif tag in "RQ":
            self.reference(tag)
        elif tag in "PO":
            self.write("*const " if tag == "P" else "*mut ")
            self.type()
        elif tag in "AS":
            self.array(tag)
        elif tag == "T":
            self.write("(")
            self.write(",)" if self.separated(self.type) == 1 else ")")
        elif tag == "F":
            self.binder(self.signature)
        elif tag == "D":
            self.dynamic()
        elif tag == "B":
            self.backref("type", in_value=False)
        else:
            self.at -= 1
            self.path(in_value=False)
        self._depth -= 1

    def reference(self, tag: str) -> None:
        self.write("&")
        if self.eat("L") and (index := self.base62()):
            self.lifetime(index)
            self.write(" ")
        self.write("mut " if tag == "Q" else "")
        self.type()

    def array(self, tag: str) -> None:
        self.write("[")
        self.type()
        if tag == "A":
            self.write("; ")
            self.const()
        self.write("]")

    def binder(self, body: Callable[[], None]) -> None:
        """`for<'a, 'b> ` and what it binds over."""
        count = self.optional62("G")
        if count > _MAX_DEPTH:
            raise _MalformedError
        if count:
            self.write("for<")
            for i in range(count):
                self._lifetimes += 1
                self.write(", " if i else "")
                self.lifetime(1)
            self.write("> ")
        body()
        self._lifetimes -= count

    def signature(self) -> None:
        self.write("unsafe " if self.eat("U") else "")
        if self.eat("K"):
            abi = "C" if self.eat("C") else self.identifier().replace("_", "-")
            self.write(f'extern "{abi}" ')
        self.write("fn(")
        self.separated(self.type)
        self.write(")")
        if not self.eat("u"):
            self.write(" -> ")
            self.type()

    def dynamic(self) -> None:
        self.write("dyn ")
        self.binder(self.bounds)
        if not self.eat("L"):
            raise _MalformedError
        if index := self.base62():
            self.write(" + ")
            self.lifetime(index)

    def bounds(self) -> None:
        first = True
        while not self.eat("E"):
            self.write("" if first else " + ")
            first = False
            self.bound()

    def bound(self) -> None:
        """A trait and its associated types, which share the angle brackets of its generic arguments."""
        opened = self.trait()
        while self.eat("p"):
            self.write(", " if opened else "<")
            opened = True
            self.write(f"{self.identifier()} = ")
            self.type()
        self.write(">" if opened else "")

    def trait(self) -> bool:
        """A path; True if its generic arguments were left open."""
        self.enter()
        opened = False
        if self.eat("B"):
            here = self.at - 1
            target = self.base62()
            if target >= here:
                raise _MalformedError
            if not self.quiet:
                back, self.at = self.at, target
                opened = self.trait()
                self.at = back
        elif self.eat("I"):
            self.path(in_value=False)
            self.write("<")
            self.separated(self.generic)
            opened = True
        else:
            self.path(in_value=False)
        self._depth -= 1
        return opened

    def const(self) -> None:
        self.enter()
        kind = self.next()
        if kind == "p":
            self.write("_")
        elif kind == "B":
            self.backref("const", in_value=False)
        elif kind in "hjmotyailnsxbc":
            self.write(self.scalar(kind))
        else:
            raise _MalformedError  # structural constants: unstable in Rust
        self._depth -= 1

    def scalar(self, kind: str) -> str:
        negative = self.eat("n")
        digits = ""
        while not self.eat("_"):
            digits += self.next()
        value = int(digits, 16) if digits else 0
        if kind == "b":
            return ("false", "true")[value]
        if kind == "c":
            return repr(chr(value))
        return f"{'-' if negative else ''}{value}" if value < 1 << 64 else f"0x{value:x}"
