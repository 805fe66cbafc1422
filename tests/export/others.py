"""The tools of others that read what we write: real ones, found where their installers put them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SPEEDSCOPE = "speedscope@1.25.0"
_GO = "/usr/local/go/bin"  # https://go.dev/doc/install


def go() -> str:
    """The go command, which brings pprof along; skips where there is none."""
    path = shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", os.defpath), _GO)))
    if not path:
        pytest.skip("no go: what pprof reads is not tested")
    return path


def pprof(file: Path, *options: str) -> bytes:
    """What `go tool pprof` makes of a profile."""
    command = [go(), "tool", "pprof", "-symbolize=none", *options, str(file)]
    environment = {**os.environ, "PPROF_TMPDIR": str(file.parent), "HOME": os.environ.get("HOME", str(file.parent))}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def speedscope_schema(cache: Path) -> dict[str, Any]:
    """The schema in the npm package of speedscope, kept in a folder; skips where npm cannot get it."""
    schema = cache / "node_modules/speedscope/dist/release/file-format-schema.json"
    if not schema.exists():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("no npm: speedscope's schema is not tested")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", f"--prefix={cache}"]
        done = subprocess.run(
            [npm, "install", *options, SPEEDSCOPE], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode or not schema.exists():
            pytest.skip("npm cannot get speedscope: its schema is not tested")
    return json.loads(schema.read_text())  # type: ignore[no-any-return]


def inferno() -> None:
    """Skips where inferno is not installed."""
    from aperture_tui.export import svg

    for name in ("inferno-flamegraph", "inferno-diff-folded"):
        try:
            svg.find(name)
        except svg.MissingInfernoError as error:
            pytest.skip(f"{error}: SVG flame graphs are not tested")
