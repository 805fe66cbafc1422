"""Tells what this process has its GPUs do, to whoever asks: records of CUPTI, over a Unix socket, to its own user and
to root. Until somebody asks it does nothing but wait for that.
"""

from __future__ import annotations

import os
import sys

FOLDER = "APERTURE_GPU"
"""The variable that says where the socket is to be."""


def begin() -> None:
    """Once a process: listen in a thread of our own."""
    folder = os.environ.get(FOLDER)
    if not folder or sys.platform != "linux":
        return
    from .agent import Agent

    Agent(folder).begin()
