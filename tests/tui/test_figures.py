from __future__ import annotations

import pytest

from aperture_tui.tui import figures


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.percent(123, 1000), "12.3 %"),
        (figures.percent(4, 10_000), "0.04 %"),
        (figures.percent(1, 0), "–"),
        (figures.percent(0, 5), "0.0 %"),
        (figures.count(12_345), "12,345"),
        (figures.count(1_240_000), "1.24 M"),
        (figures.size(0), "0 B"),
        (figures.size(62 << 20), "62 MB"),
        (figures.size(16 << 30), "16 GB"),
        (figures.size(1023), "1 kB"),
        (figures.duration(350_000), "350 µs"),
        (figures.duration(12_000_000), "12 ms"),
        (figures.duration(999_900_000), "1.0 s"),
        (figures.duration(12 * 10**9), "12 s"),
        (figures.duration(12 * 60 * 10**9), "12 min"),
        (figures.window(30.0), "30 s"),
        (figures.window(300.0), "5 min"),
        (figures.window(None), "all"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected
