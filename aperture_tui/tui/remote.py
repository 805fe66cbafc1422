"""What the app is told of an aggregator whose machines it shows."""

from __future__ import annotations

from typing import Protocol

from aperture_tui.store.remote.link import Focus, Link


class Remote(Protocol):
    """An aggregator. name: what it is called. focus: what is looked at first; None: the list of its machines."""

    name: str
    focus: Focus | None

    def link(self) -> Link:
        """How well it answers now. Called in the screen's thread; never waits."""
        ...


def focus_words(focus: Focus, hosts: int = 0) -> str:
    """ "web-7", "shop, 34 hosts", "all 1,012 hosts". hosts: how many these are, 0 if that is not known."""
    if len(focus.hosts) == 1:
        return focus.hosts[0]
    number = hosts or len(focus.hosts)
    counted = f"{number:,} host{'' if number == 1 else 's'}" if number else ""
    if focus.service is not None:
        return ", ".join(filter(None, [service_words(focus.service), counted]))
    if focus.is_fleet:
        return f"all {counted}" if counted else "all hosts"
    return counted


def service_words(service: str) -> str:
    """A service, or that of machines which say none."""
    return service or "(no service)"
