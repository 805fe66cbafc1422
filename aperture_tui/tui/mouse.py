"""The mouse, on and off while the app runs. Off, the terminal has it again: text can be selected and copied."""

from __future__ import annotations

from typing import Any


def is_on(driver: Any) -> bool:
    """Whether the terminal reports the mouse. Textual 8.2.8 keeps that private; True where it is not known."""
    return bool(getattr(driver, "_mouse", True))


def switch(driver: Any, on: bool) -> bool:
    """Ask the terminal to report the mouse, or to keep it -> whether that could be said.

    The driver believes its own flag, at the end and after a suspension too, so it is right while something is written.
    """
    enable = getattr(driver, "_enable_mouse_support", None)
    disable = getattr(driver, "_disable_mouse_support", None)
    if enable is None or disable is None:
        return False
    driver._mouse = True
    (enable if on else disable)()
    driver._mouse = on
    driver.flush()
    return True
