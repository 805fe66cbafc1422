"""All parts, or those that are named: `python -m bench.gpu [--out FOLDER] [--limit SECONDS] [PART ...]`.

One JSON file, gpu.json, with the answer of each part, or why it has none; recordings beside it. The exit status is 0
if every part has answered.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.gpu.asking import ROOT


def main() -> int:
    """Run, and tell on stderr how it goes."""
    from bench.gpu.parts import PARTS, run

    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="What only a machine with a GPU can show.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu"), help="a folder (bench/results/gpu)")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for all parts together (900)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    if chosen.one:
        print(json.dumps(run(chosen.parts[0], chosen.out, chosen.limit)))
        return 0
    return _all(chosen.parts or list(PARTS), chosen.out, chosen.limit)


def _all(names: list[str], out: Path, limit_s: float) -> int:
    from bench.gpu.overhead import summary
    from bench.gpu.parts import PARTS

    out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + limit_s
    told: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        told[name] = _answer(name, out, min(PARTS[name][1], ends - began))
        told[name]["part_s"] = round(time.monotonic() - began, 1)
        (out / "gpu.json").write_text(json.dumps(told, indent=1) + "\n")  # after each: whoever stops us has the others
        print(f"{name}: {told[name].get('failed', 'done')} ({told[name]['part_s']} s)", file=sys.stderr, flush=True)
        if said := summary(told[name]):
            print(f"{name}: {said}", file=sys.stderr, flush=True)
    return 1 if any("failed" in one for one in told.values()) else 0


def _answer(name: str, out: Path, seconds: float) -> dict[str, Any]:
    if seconds < 5:
        return {"failed": "no time was left"}
    command = [sys.executable, "-m", "bench.gpu", "--one", "--out", str(out), "--limit", str(seconds), name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer in {seconds:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"failed": lines[-1] if lines else f"status {done.returncode}", "stderr": lines[-20:]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if errors := list(_errors(answer)):
        answer["failed"] = f"in part: {errors[0]}"
    return answer


def _errors(told: Any) -> Iterator[str]:
    """What failed inside of a part that went on."""
    if isinstance(told, dict):
        if isinstance(told.get("error"), str):
            yield told["error"]
        for one in told.values():
            yield from _errors(one)


if __name__ == "__main__":
    sys.exit(main())
