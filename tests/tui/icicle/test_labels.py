from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.labels import fitting, last_part, make_label, simple_name

K = FrameKind


@pytest.mark.parametrize(
    ("name", "simple", "last"),
    [
        ("std::vector<int, std::allocator<int>>::push_back(int&&)", "std::vector::push_back", "push_back"),
        ("at::native::(anonymous namespace)::gemm<float>(at::Tensor)", "at::native::gemm", "gemm"),
        ("Matrix::operator()(int, int) const", "Matrix::operator()", "Matrix::operator()"),
        ("operator<<(std::ostream&, X const&)", "operator<<", "operator<<"),
        ("bool operator< <int>(A<int> const&)", "bool operator<", "bool operator< <int>(A<int> const&)"),
        ("Ptr<T>::operator->() const", "Ptr::operator->", "operator->"),
        (
            "core::ptr::drop_in_place<alloc::vec::Vec<u8>>::h0123456789abcdef",
            "core::ptr::drop_in_place",
            "drop_in_place",
        ),
        ("<alloc::vec::Vec<T> as Drop>::drop", "drop", "drop"),
        ("net/http.(*conn).serve", "net/http.(*conn).serve", "net/http.(*conn).serve"),
        ("memcpy", "memcpy", "memcpy"),
        ("a<b", "a", "a<b"),
    ],
)
def test_names_lose_templates_and_parameters_first(name: str, simple: str, last: str) -> None:
    assert simple_name(name) == simple
    assert last_part(name) == last


@pytest.mark.parametrize(
    ("label", "full"),
    [
        (make_label("vfs_read", "[kernel]", "", 0, K.KERNEL), "vfs_read [kernel]"),
        (make_label("recv", "/usr/lib/libc.so.6", "", 0, K.NATIVE), "recv (libc.so.6)"),
        (make_label("Cart.load", "shop", "/srv/cart.py", 12, K.PYTHON), "Cart.load (cart.py:12)"),
        (make_label("run", "", "", 0, K.JIT), "run [jit]"),
        (make_label("gemm", "sm_80", "", 0, K.GPU), "gemm [gpu]"),
        (make_label("sshd", "", "", 0, K.PROCESS), "sshd"),
        (make_label("", "libx.so", "", 0, K.UNKNOWN), "[libx.so] (libx.so)"),
        (make_label("", "", "", 0, K.UNKNOWN), "[unknown]"),
    ],
)
def test_the_whole_label_says_in_words_what_the_colour_says(label: object, full: str) -> None:
    assert label.forms[0] == full  # type: ignore[attr-defined]


def test_less_and_less_is_written_as_the_box_narrows() -> None:
    label = make_label("ns::Cache<int>::lookup(Key const&)", "libcache.so", "", 0, K.NATIVE)
    shown = [fitting(label, width) for width in (60, 40, 20, 8, 4, 3, 2, 0)]
    assert shown == [
        "ns::Cache<int>::lookup(Key const&) (libcache.so)",
        "ns::Cache<int>::lookup(Key const&)",
        "ns::Cache::lookup",
        "lookup",
        "loo…",
        "lo…",
        "",
        "",
    ]


@given(st.text(max_size=300), st.text(max_size=20), st.sampled_from(list(K)), st.integers(0, 50))
def test_any_name_has_a_label_that_fits(function: str, module: str, kind: FrameKind, width: int) -> None:
    label = make_label(function, module, "", 0, kind)
    assert cell_len(fitting(label, width)) <= width
    assert all(c.isprintable() for c in fitting(label, width))


def test_hostile_names_take_linear_time() -> None:
    for name in ("<" * 100_000, "(" * 100_000, "a::" * 50_000, "operator" * 20_000, ">" * 100_000):
        assert fitting(make_label(name, "m", "", 0, K.NATIVE), 20)
