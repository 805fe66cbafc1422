"""`python -m tests.sdk.record`: makes `recorded.aperture` anew, as root: some programs as `aperture record` sees them.

What it tells of the machine that it was made on, beside these programs, is taken out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts
from aperture_tui.recording.reader import Reader
from aperture_tui.recording.writer import Writer

RECORDED: Final = Path(__file__).with_name("recorded.aperture")
_SECONDS: Final = 7
_GROUPS: Final = ("pods/a", "pods/a/app", "pods/ab")
_WORKER: Final = """
import json, os, random, sys, threading, time
end, lock = time.monotonic() + float(sys.argv[1]), threading.Lock()
def depth(n, work):
    return work() if not n else depth(n - 1, work)
def parse(size):
    return json.loads(json.dumps({"rows": [[i, str(i)] for i in range(size)]}))
def serve(seed):
    rng = random.Random(seed)
    while time.monotonic() < end:
        with lock:
            depth(rng.randrange(12), lambda: parse(rng.randrange(5, 60)))
        os.stat("/usr")
        time.sleep(rng.choice([0, 0, 0.0002, 0.002]))
        depth(rng.randrange(9), lambda: sum(range(4000)))
threads = [threading.Thread(target=serve, args=(seed,), name=f"worker-{seed}") for seed in range(12)]
[one.start() for one in threads]; [one.join() for one in threads]
"""
_PROGRAMS: Final = (
    f"exec /usr/bin/python3 -c '$WORKER' {_SECONDS}",
    f"exec /usr/bin/python3 -c '$WORKER' {_SECONDS}",
    "exec timeout $SECONDS dd if=/dev/zero of=/dev/null bs=512",
    "while :; do find /usr/lib/python3 -name x | gzip -9 | wc -c; done",
    "exec timeout $SECONDS awk 'BEGIN { for (;;) { x = sprintf(\"%d %s\", i++, x); x = substr(x, 1, 500) } }'",
)


def _load(groups: list[Path]) -> str:
    """A shell's command that runs all programs, some of them in a control group of their own, and then ends them."""
    lines = []
    for i, program in enumerate(_PROGRAMS):
        text = program.replace("$WORKER", _WORKER.replace("'", "")).replace("$SECONDS", str(_SECONDS))
        group = groups[i] if i < len(groups) else None
        join = f"echo 0 > {group}/cgroup.procs; " if group else ""
        lines.append(f'({join}{text}) > /dev/null & P="$P $!"')
    return "\n".join([*lines, f"sleep {_SECONDS}", "kill $P", "wait"])


def _record(out: Path) -> None:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next(Path(mount[1]) for mount in mounts if mount[2] == "cgroup2")
    groups = [root / name for name in _GROUPS]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    try:
        options = ["--events", "all", "-F", "2999", "--syscall-stacks", "2", "-o", str(out)]
        command = [sys.executable, "-m", "aperture_tui.cli.main", "record", *options, "--", "sh", "-c", _load(groups)]
        subprocess.run(command, check=True)
    finally:
        for group in (*groups[::-1], root / "pods"):
            group.rmdir()


def _told(text: str) -> str:
    """A string of a recording without what is of this machine alone."""
    text = re.sub(r"^/process_api/.*", "/", text)
    return text if text.startswith(("/usr/", "/pods", "/lib")) else re.sub(r".*/(?=[^/]+$)", "", text)


def _cleaned(source: Path, out: Path) -> int:
    """Write it without names of the machine -> the number of events."""
    with Reader(source) as reader:
        contents = list(reader.contents())
    batches = [one for one in contents if isinstance(one, Batch)]
    words = [one for content in contents if not isinstance(content, Batch) for one in content.health]
    for symbols in {id(one.symbols): one.symbols for one in batches}.values():
        symbols._strings[:] = map(_told, symbols._strings)
    writer = Writer(out)
    writer.set_hosts([HostFacts("host", "6.18", 2, 16 << 30)])
    for batch in batches:
        writer.append(batch)
        writer._flush()  # a block for each of those that there were
    last = {one.name: one for one in words}.values()
    writer.set_health([Health(one.name, State.STOPPED, "", one.delivered, one.lost, one.degraded) for one in last])
    writer.close()
    return writer.events


def main() -> None:
    """Record, clean, and say how much it is."""
    with tempfile.TemporaryDirectory() as folder:
        _record(Path(folder, "x.aperture"))
        events = _cleaned(Path(folder, "x.aperture"), RECORDED)
    print(f"{events:,} events, {RECORDED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
