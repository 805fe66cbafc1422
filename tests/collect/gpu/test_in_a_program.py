"""What the agent does to the program that it is in, before anybody asks for CUPTI."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.collect.gpu.environment import environment


def run(folder: Path, code: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A Python with the agent in it; none of Aperture is on its path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= environment("python", {"PYTHONPATH": environ.pop("PYTHONPATH", ""), "APERTURE_GPU": str(folder)}) | environ
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_says_nothing_more_and_nothing_less(tmp_path: Path) -> None:
    done = run(tmp_path / "gpu", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert stat.S_IMODE((tmp_path / "gpu").stat().st_mode) == 0o700
    assert list((tmp_path / "gpu").iterdir()) == []  # its socket went with it


def test_the_environments_own_sitecustomize_has_its_turn(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sitecustomize.py").write_text("import sys\nsys.theirs = __file__\n")
    code = "import sys, sitecustomize, threading; print(sys.theirs == sitecustomize.__file__, threading.active_count())"
    done = run(tmp_path / "gpu", code, PYTHONPATH=str(tmp_path / "theirs"))
    assert (done.stdout, done.stderr) == ("True 2\n", "")


def test_an_error_of_theirs_is_reported_as_it_would_be_without_us(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    done = run(tmp_path / "gpu", "print('goes on')", PYTHONPATH=str(tmp_path / "theirs"))
    assert done.stdout == "goes on\n"
    assert "ValueError: theirs" in done.stderr


@pytest.mark.parametrize("trouble", ["a folder of others", "a file", "no room"])
def test_where_it_cannot_listen_the_program_goes_on(tmp_path: Path, trouble: str) -> None:
    folder = tmp_path / "gpu"
    if trouble == "a folder of others":
        folder.mkdir(mode=0o755)
    elif trouble == "a file":
        folder.write_text("")
    else:
        folder = tmp_path / ("long" * 40)
    done = run(folder, "import threading; print(threading.active_count())")
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_a_fork_has_one_thread_and_warns_of_nothing_and_its_child_listens_itself(tmp_path: Path) -> None:
    code = """
import os, threading, time
def told(): return len(os.listdir(os.environ["APERTURE_GPU"])), threading.active_count()
read, write = os.pipe()
pid = os.fork()
if not pid:
    os.write(write, repr(told()).encode())
    raise SystemExit
os.waitpid(pid, 0)
print(os.read(read, 99).decode(), told())
"""
    done = run(tmp_path / "gpu", code, "-W", "error")
    assert (done.stdout, done.stderr) == ("(2, 2) (1, 2)\n", "")


def test_processes_of_multiprocessing_end_and_give_their_answers(tmp_path: Path) -> None:
    code = """
import multiprocessing
if __name__ == "__main__":
    for how in ("fork", "spawn"):
        with multiprocessing.get_context(how).Pool(2) as pool:
            print(pool.map(abs, [-1, -2]))
"""
    script = tmp_path / "pool.py"
    script.write_text(code)
    done = run(tmp_path / "gpu", f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert (done.stdout, done.stderr) == ("[1, 2]\n[1, 2]\n", "")


def test_a_signal_still_ends_it(tmp_path: Path) -> None:
    done = run(tmp_path / "gpu", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert done.returncode == -15


def test_a_signal_that_the_program_waits_for_is_given_to_the_program(tmp_path: Path) -> None:
    code = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
print(signal.sigwait({signal.SIGTERM}) == signal.SIGTERM)
"""
    done = run(tmp_path / "gpu", code)
    assert (done.stdout, done.returncode) == ("True\n", 0)


ASK = """
import os, resource, socket, struct, sys, time
path = os.path.join(os.environ["APERTURE_GPU"], f"{os.getpid()}.sock")
request = struct.pack("<8sII", b"APGPU\\0\\0003", 1, 20_000)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
"""


def test_a_program_with_very_many_open_files_answers(tmp_path: Path) -> None:
    code = """
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
files = [open(os.devnull) for _ in range(1200)]
one = socket.socket(socket.AF_UNIX)
one.connect(path)
one.settimeout(10)
one.sendall(request)
print(b"no CUDA" in one.recv(1 << 16))
"""
    assert run(tmp_path / "gpu", ASK + code).stdout == "True\n"


def test_a_program_that_may_open_no_more_files_is_not_kept_busy_by_one_that_waits(tmp_path: Path) -> None:
    code = """
one = socket.socket(socket.AF_UNIX)
resource.setrlimit(resource.RLIMIT_NOFILE, (one.fileno() + 1, hard))
one.connect(path)
began = time.process_time()
time.sleep(1)
print(time.process_time() - began < 0.2)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
one.settimeout(10)
one.sendall(request)
print(b"no CUDA" in one.recv(1 << 16))
"""
    assert run(tmp_path / "gpu", ASK + code).stdout == "True\nTrue\n"


def test_sockets_of_programs_that_were_killed_are_taken_away_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "gpu"
    folder.mkdir(mode=0o700)
    left, heard, file = (folder / f"{2**22 + n}.sock" for n in range(3))  # no process has such a number
    for path in (left, heard):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(path))
        if path is heard:
            one.listen()
            listener = one
        else:
            one.close()
    file.write_text("")
    assert run(folder, "").returncode == 0
    listener.close()
    assert sorted(folder.iterdir()) == sorted((heard, file)), (
        "a file that is no socket is refused, too, but is not ours"
    )


def test_nothing_is_imported_before_somebody_asks(tmp_path: Path) -> None:
    done = run(
        tmp_path / "gpu", "import sys; print([m for m in ('numpy', 'cupti', 'ctypes', 'json') if m in sys.modules])"
    )
    assert done.stdout == "[]\n"
