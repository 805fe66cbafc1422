"""The whole way of a kernel, by the commands that a person gives: a training loop under `aperture gpu run`, and
`aperture record` meanwhile. Needs BPF for the CPU stacks; LIBRARIES and MODULES are put before the recording command's
own, where BCC lies in a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.gpu.asking import ROOT

SECONDS: Final = 10
_COLD_S: Final = 6
"""Of a first recording, by which tables for unwinding are made: hundreds of megabytes of libraries are new to it."""
_TRAINING: Final = Path(__file__).with_name("training.py")
_WARM_S: Final = 60.0
_CLI: Final = (sys.executable, "-m", "aperture_tui.cli.main")


def environ() -> dict[str, str]:
    """Of Aperture's own commands: APERTURE_BENCH_LIBRARIES and APERTURE_BENCH_MODULES lead to BCC."""
    env = dict(os.environ)
    for to, of in (("LD_LIBRARY_PATH", "APERTURE_BENCH_LIBRARIES"), ("PYTHONPATH", "APERTURE_BENCH_MODULES")):
        env[to] = os.pathsep.join(filter(None, (os.environ.get(of, ""), env.get(to, ""))))
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), env["PYTHONPATH"])))
    return env


def doctor(out: Path) -> dict[str, Any]:
    """What the machine offers, as the command says it."""
    done = subprocess.run([*_CLI, "doctor", "--json"], env=environ(), capture_output=True, text=True, check=False)
    return {"status": done.returncode, "doctor": json.loads(done.stdout) if done.stdout else done.stderr[-2000:]}


def unified(out: Path) -> dict[str, Any]:
    """A recording of kernels with the stacks that launched them, and what the loop says of itself."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))}
    command = [*_CLI, "gpu", "run", "--", sys.executable, str(_TRAINING), str(SECONDS + _COLD_S + 12)]
    training = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told: dict[str, Any] = {}
    try:
        _await_cuda(training.pid)
        time.sleep(4)
        for name, events, seconds in (("cold", "gpu", _COLD_S), ("unified", "cpu,gpu", SECONDS)):
            path = out / f"{name}.aperture"
            record = [*_CLI, "record", "--events", events, "-F", "499", "--gpu-limit", "100"]
            record += ["--duration", str(seconds), "-o", str(path)]
            done = subprocess.run(record, env=environ(), capture_output=True, text=True, timeout=60, check=False)
            told[name] = {"status": done.returncode, "stderr": done.stderr[-3000:]}
            told[name] |= {"bytes": path.stat().st_size} if path.exists() else {"error": "no recording"}
        words, errors = training.communicate(timeout=60)
        told["training"] = {**(json.loads(words) if words else {"error": "it said nothing"}), "stderr": errors[-2000:]}
    finally:
        training.kill()
        training.wait()
    return told


def _await_cuda(pid: int) -> None:
    """Until the program has the driver: to import torch takes a while."""
    ends = time.monotonic() + _WARM_S
    while time.monotonic() < ends:
        if "libcuda.so" in Path(f"/proc/{pid}/maps").read_text():
            return
        time.sleep(0.2)
    raise TimeoutError("the training loop has not loaded the driver")
