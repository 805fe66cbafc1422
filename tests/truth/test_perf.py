"""What perf prints is read as it is meant: a wrong reference would be worse than none."""

from __future__ import annotations

import pytest

from tests.truth.perf import parse
from tests.truth.stacks import Call

_PRINTED = """\
perf-exec  5453/5453    812.271766:~
\tffffffff815fcc90 finish_fault ([kernel.kallsyms])
\tffffffff81000130 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])

truth chain  5454/5455    812.273738:~
\tffffffffc00fcc90 nf_hook ([nf_tables])
\tffffffffc00fcc91 xfs_read (/lib/modules/6.1/kernel/fs/xfs/xfs.ko.xz)
\t             af6 __vdso_clock_gettime ([vdso])
\t           cf438 clock_gettime@@GLIBC_2.17 (/usr/lib/libc.so.6)
\t           16c97 _ZN4deep6calledILi2EEEiv.isra.0 (/tmp/a (b)/chain)
\t           174cb _ZN4deep7descend17hec3a571360280bcfE (/tmp/a (b)/chain (deleted))
\t    7f0000001234 [unknown] ([unknown])
\t            106b [unknown] (/tmp/a (b)/chain)

:-1    -1/-1       812.273738:~

""".replace("~", " ")  # an editor would take the space at the end of a line


def test_samples_their_user_stacks_and_names() -> None:
    kernel, chain, empty = parse(_PRINTED)
    assert kernel.calls == ()
    assert (chain.pid, chain.tid, chain.monotonic_s) == (5454, 5455, 812.273738)
    assert chain.calls == (
        Call("", "chain"),
        Call("", ""),
        Call("deep::descend", "chain"),
        Call("int deep::called<2>() [clone .isra.0]", "chain"),
        Call("clock_gettime", "libc.so.6"),
        Call("__vdso_clock_gettime", "[vdso]"),
    )
    assert chain.addresses == (0x106B, 0x7F0000001234, 0x174CB, 0x16C97, 0xCF438, 0xAF6)
    assert empty.calls == ()


def test_what_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="not understood"):
        list(parse("Warning: this is no sample\n"))
