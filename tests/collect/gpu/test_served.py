"""What is looked for of GPUs beside a file system that does not answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.collect.collecting import await_true
from tests.programs import build
from tests.served import served

_HUNG_S = 60


def _told(words: str) -> str:
    """What another Python says, which may be left behind where it hangs."""
    child = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        child.wait(timeout=_HUNG_S)
    finally:
        child.kill()
    return child.stdout.read()


def test_sockets_of_agents_are_not_looked_for_where_nothing_answers(tmp_path: Path) -> None:
    with served(tmp_path / "far", build("burn")) as server:
        subprocess.run(server.inside("mount", "--bind", server.folder, "/tmp"), check=True)  # noqa: S108 - nobody else sees it
        server.hold()
        looks = f"from aperture_tui.collect.gpu import finding; print(finding.doors(['/proc/{server.pid}/root']))"
        assert _told(looks) == "[]\n"


def test_a_libcuda_that_does_not_answer_is_not_probed(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    library.write_bytes(build("burn").read_bytes())
    with served(tmp_path / "far", library) as server:
        path = server.folder / library.name
        with subprocess.Popen(server.inside(path, "120", "1", "5"), stdout=subprocess.DEVNULL) as child:
            await_true(lambda: str(path) in Path(f"/proc/{child.pid}/maps").read_text())
            server.hold()
            looks = f"""
from aperture_tui.collect.gpu import libraries
(library,) = libraries.mapped({child.pid})
print(library.path)
try:
    libraries.opened(library)
except OSError as error:
    print(type(error).__name__)
"""
            try:
                assert _told(looks) == f"/proc/{child.pid}/root{path}\nNotAnsweringError\n"
            finally:
                server.go()
                child.kill()
