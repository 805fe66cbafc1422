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
        (figures.latency(0), "0 ns"),
        (figures.latency(512), "512 ns"),
        (figures.latency(999.7), "1.0 µs"),
        (figures.latency(1536), "1.5 µs"),
        (figures.latency(999_700), "1.0 ms"),
        (figures.latency(33_000_000), "33 ms"),
        (figures.latency(40 * 10**9), "40 s"),
        (figures.latency(119 * 60 * 10**9), "119 min"),
        (figures.latency(5 * 3600 * 10**9), "5.0 h"),
        (figures.latency(30 * 86400 * 10**9), "30 d"),
        (figures.latency(2**63), "292 y"),
        (figures.short(0), "0"),
        (figures.short(999), "999"),
        (figures.short(1234), "1.23k"),
        (figures.short(999_900), "1M"),
        (figures.short(2**63), "9.22E"),
        (figures.rate(0), "0"),
        (figures.rate(0.004), "<0.01"),
        (figures.rate(0.25), "0.25"),
        (figures.rate(4.2), "4.2"),
        (figures.rate(12_345), "12.3k"),
        (figures.share(1, 2), "50 %"),
        (figures.share(35, 1000), "3.5 %"),
        (figures.share(1, 10**9), "<0.1 %"),
        (figures.share(999_999, 10**6), ">99 %"),
        (figures.share(5, 5), "100 %"),
        (figures.share(0, 5), "0 %"),
        (figures.share(1, 0), "–"),
        (figures.window(30.0), "30 s"),
        (figures.window(300.0), "5 min"),
        (figures.window(None), "all"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected
