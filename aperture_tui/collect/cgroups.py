"""Control groups: a process's, the directory of one, and the container that it stands for.

Names are read from the runtimes' own state files, as root; where none can be read the short id stands for it. Who is in
a container that shares the machine's processes reads those of the machine, through the root of its first process.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_ID: Final = re.compile(
    r"(?:(?P<runtime>docker|libpod|cri-containerd|crio)[-/])?(?P<id>[0-9a-f]{64})(?:\.scope)?(?:/|$)"
)
_POD: Final = re.compile(r"pod(?P<uid>[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
_LXC: Final = re.compile(r"/lxc(?:\.payload)?[./](?P<name>[^/]+)")
_LARGEST: Final = 4 << 20
_ROOTS: Final = (Path("/"), Path("/proc/1/root"))


def directory(path: str, mounts: Path = Path("/proc/self/mounts")) -> Path:
    """The directory of a control group, given as itself or as a path below the version 2 hierarchy.

    Raises ValueError with one clear line: filters in the kernel know version 2 groups alone.
    """
    roots = _hierarchies(mounts)
    if not roots:
        raise ValueError("no cgroup2 file system is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
    for candidate in (Path(path), *(root / path.lstrip("/") for root in roots)):
        resolved = candidate.resolve()
        if any(resolved.is_relative_to(root) for root in roots) and resolved.is_dir():
            return resolved
    raise ValueError(f"no control group {path!r} below {', '.join(map(str, roots))}")


def _hierarchies(mounts: Path) -> list[Path]:
    """Where version 2 is mounted. Raises OSError."""
    return [Path(line.split()[1]) for line in mounts.read_text().splitlines() if line.split()[2:3] == ["cgroup2"]]


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where our control group namespace lies: most containers have one of their own, in which everybody else's path is
    told from its root, with a /.. for each step up (cgroup_namespaces(7)).

    depth: its root's, below the machine's, 0 if it is that; path: its root's, "" if it is that or nobody knows.
    """

    depth: int = 0
    path: str = ""

    @classmethod
    def here(cls) -> Namespace:
        """That of this process. Its path can be told by who sees the machine's first process, and that one's files."""
        try:
            init = control_group(Path("/proc/1/cgroup").read_text())
        except OSError:
            return cls()
        if not _steps_up(init):
            return cls()
        try:
            ours, machine = (_hierarchies(Path(f"/proc/{pid}/mounts"))[0] for pid in ("self", "1"))
        except (OSError, IndexError):
            return cls.found(init, None, None)
        return cls.found(init, ours, Path("/proc/1/root", machine.relative_to("/")))

    @classmethod
    def found(cls, init: str, ours: Path | None, machine: Path | None) -> Namespace:
        """init: the path of the machine's first process, as it is told here. ours, machine: the hierarchy, from the
        namespace's root and from the machine's; None where it cannot be seen.
        """
        depth = _steps_up(init)
        if not depth or ours is None or machine is None:
            return cls(depth)
        level = [str(machine)]
        try:
            root = ours.stat().st_ino
            for step in range(1, depth + 1):
                entries = [entry for folder in level for entry in os.scandir(folder) if entry.is_dir()]
                level = [entry.path for entry in entries if step < depth or entry.inode() == root]
        except OSError:
            level = []
        return cls(depth, level[0].removeprefix(str(machine)) if len(level) == 1 else "")

    def absolute(self, path: str) -> str:
        """A path as the machine tells it; as it is where that is not known."""
        steps = _steps_up(path)
        below = path[3 * steps :]
        if not self.depth:
            return path
        if steps == self.depth:
            return below or "/"
        if not self.path:
            return path
        return self.path.rsplit("/", steps)[0] + below.rstrip("/")


def _steps_up(path: str) -> int:
    return next((i for i, part in enumerate(path.split("/")[1:]) if part != ".."), path.count("/.."))


def control_group(text: str) -> str:
    """The path of a process's control group, from /proc/PID/cgroup.

    The unified hierarchy's; where that is the root and version 1 hierarchies are in use, theirs (memory, cpu, pids).
    """
    paths = {}
    for line in text.splitlines():
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            paths[controller] = path
    unified = paths.get("", "")
    if unified not in ("", "/"):
        return unified
    return next((paths[name] for name in ("memory", "cpu", "pids") if paths.get(name, "/") != "/"), unified or "/")


@lru_cache(maxsize=4096)
def container(path: str, roots: tuple[Path, ...] = _ROOTS) -> str:
    """The container that a control group path belongs to, in words; "" if it is none's."""
    if lxc := _LXC.search(path):
        return lxc["name"]
    found = _ID.search(path)
    if not found:
        return ""
    identity = found["id"]
    for name in (told(root, identity) for root in roots for told in (_docker, _podman, _containerd, _kubelet)):
        if name:
            return name
    pod = _POD.search(path)
    return f"pod {pod['uid'].replace('_', '-')[:8]}/{identity[:12]}" if pod else identity[:12]


def _load(file: Path) -> Any:
    try:
        if file.stat().st_size > _LARGEST:
            return None
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None  # not this runtime's, or not ours to read: the short id stands for the name


def _docker(root: Path, identity: str) -> str:
    data = _load(root / "var/lib/docker/containers" / identity / "config.v2.json")
    return str(data.get("Name", "")).lstrip("/") if isinstance(data, dict) else ""


def _podman(root: Path, identity: str) -> str:
    data = _load(root / "var/lib/containers/storage/overlay-containers/containers.json")
    for entry in data if isinstance(data, list) else []:
        if isinstance(entry, dict) and entry.get("id") == identity:
            return str(next(iter(entry.get("names") or []), ""))
    return ""


def _containerd(root: Path, identity: str) -> str:
    tasks = root / "run/containerd/io.containerd.runtime.v2.task"
    for namespace in ("k8s.io", "moby", "default"):
        data = _load(tasks / namespace / identity / "config.json")
        notes = data.get("annotations") if isinstance(data, dict) else None
        if isinstance(notes, dict):
            words = [notes.get(f"io.kubernetes.cri.{key}") for key in ("sandbox-name", "container-name")]
            return "/".join(str(word) for word in words if word)
    return ""


def _kubelet(root: Path, identity: str) -> str:
    """Of whatever runtime: kubelet links the logs of all containers as POD_NAMESPACE_CONTAINER-ID.log."""
    end = f"-{identity}.log"
    try:
        with os.scandir(root / "var/log/containers") as links:
            found = next((link.name for link in links if link.name.endswith(end)), "")
    except OSError:
        return ""
    pod, _namespace, name = [*found.removesuffix(end).split("_"), "", "", ""][:3]
    return f"{pod}/{name}" if pod and name else ""
