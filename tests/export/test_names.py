"""Names that every export and screen has in common."""

from __future__ import annotations

import pytest

from aperture_tui.export.names import errno_name


@pytest.mark.parametrize(("number", "name"), [(2, "ENOENT"), (512, "ERESTARTSYS"), (4095, "errno 4095")])
def test_errors_have_their_symbols(number: int, name: str) -> None:
    assert errno_name(number) == name
