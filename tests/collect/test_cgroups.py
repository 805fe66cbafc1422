from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aperture_tui.collect.cgroups import Namespace, container, control_group, directory

ID = "4f" * 32


def test_the_unified_hierarchy_is_preferred() -> None:
    assert control_group("0::/user.slice/a.scope\n") == "/user.slice/a.scope"
    assert control_group("9:memory:/old\n0::/new\n") == "/new"


def test_version_1_is_used_where_the_unified_one_says_nothing() -> None:
    assert control_group("12:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n0::/\n") == "/docker/x"
    assert control_group("0::/\n") == "/"
    assert control_group("nonsense\n") == "/"


@pytest.mark.parametrize(
    "path",
    [
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}",
        f"/machine.slice/libpod-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope/container",
    ],
)
def test_a_container_without_a_known_name_is_its_short_id(path: str, tmp_path: Path) -> None:
    assert container(path, (tmp_path,)) == ID[:12]


def test_a_pod_is_named_with_its_container(tmp_path: Path) -> None:
    pod = "pod12345678-1234-1234-1234-123456789abc"
    path = f"/kubepods.slice/kubepods-burstable.slice/kubepods-{pod}.slice/cri-containerd-{ID}.scope"
    assert container(path, (tmp_path,)) == f"pod 12345678/{ID[:12]}"


def test_names_come_from_the_runtimes_own_files(tmp_path: Path) -> None:
    docker = tmp_path / "var/lib/docker/containers" / ID
    docker.mkdir(parents=True)
    (docker / "config.v2.json").write_text(json.dumps({"Name": "/web-1"}))
    assert container(f"/docker/{ID}", (tmp_path,)) == "web-1"

    other = "5a" * 32
    tasks = tmp_path / "run/containerd/io.containerd.runtime.v2.task/k8s.io" / other
    tasks.mkdir(parents=True)
    notes = {"io.kubernetes.cri.sandbox-name": "web-7f", "io.kubernetes.cri.container-name": "nginx"}
    (tasks / "config.json").write_text(json.dumps({"annotations": notes}))
    assert container(f"/kubepods/x/cri-containerd-{other}.scope", (tmp_path,)) == "web-7f/nginx"

    third = "6b" * 32
    podman = tmp_path / "var/lib/containers/storage/overlay-containers"
    podman.mkdir(parents=True)
    (podman / "containers.json").write_text(json.dumps([{"id": third, "names": ["db"]}]))
    assert container(f"/machine.slice/libpod-{third}.scope", (tmp_path,)) == "db"


def test_kubelet_knows_the_containers_of_every_runtime(tmp_path: Path) -> None:
    logs = tmp_path / "var/log/containers"
    logs.mkdir(parents=True)
    for name in (f"other-1_shop_app-{'1c' * 32}.log", f"web-7f_shop_app-{ID}.log", f"nonsense-{'2d' * 32}.log"):
        (logs / name).symlink_to("/var/log/pods/gone/0.log")
    assert container(f"/kubepods/burstable/x/crio-{ID}.scope", (tmp_path,)) == "web-7f/app"
    assert container(f"/kubepods/x/crio-{'2d' * 32}.scope", (tmp_path,)) == "2d" * 6


def test_in_a_container_names_are_those_of_the_machine(tmp_path: Path) -> None:
    ours, machine = tmp_path / "ours", tmp_path / "machine"
    folder = machine / "var/lib/docker/containers" / ID
    folder.mkdir(parents=True)
    (folder / "config.v2.json").write_text(json.dumps({"Name": "/web-1"}))
    assert container(f"/docker/{ID}", (ours, machine)) == "web-1"


def test_a_broken_state_file_costs_the_name_only(tmp_path: Path) -> None:
    folder = tmp_path / "var/lib/docker/containers" / ID
    folder.mkdir(parents=True)
    (folder / "config.v2.json").write_text("{")
    assert container(f"/docker/{ID}", (tmp_path,)) == ID[:12]


def test_lxc_and_plain_services() -> None:
    assert container("/lxc.payload.web/init.scope") == "web"
    assert container("/system.slice/ssh.service") == ""


@pytest.mark.parametrize(
    ("path", "known", "unknown"),
    [
        ("/", "/kubepods/pod1/a", "/"),
        ("/below", "/kubepods/pod1/a/below", "/below"),
        ("/../b", "/kubepods/pod1/b", "/../b"),
        ("/../../pod2/c", "/kubepods/pod2/c", "/../../pod2/c"),
        ("/../..", "/kubepods", "/../.."),
        ("/../../../system.slice/ssh.service", "/system.slice/ssh.service", "/system.slice/ssh.service"),
        ("/../../..", "/", "/"),
        ("/..hidden", "/kubepods/pod1/a/..hidden", "/..hidden"),
    ],
)
def test_a_path_that_is_told_from_a_container_is_the_machines(path: str, known: str, unknown: str) -> None:
    assert Namespace(3, "/kubepods/pod1/a").absolute(path) == known
    assert Namespace(3).absolute(path) == unknown
    assert Namespace().absolute(path) == path


@contextlib.contextmanager
def groups(root: Path, *paths: str) -> Iterator[list[int]]:
    """A process in each of these control groups, which go with them."""
    sleepers, made = [], set()
    try:
        for path in paths:
            (root / path).mkdir(parents=True, exist_ok=True)
            made |= {root / path, *list((root / path).parents)[: path.count("/")]}
            sleepers.append(subprocess.Popen(["sleep", "60"]))
            (root / path / "cgroup.procs").write_text(str(sleepers[-1].pid))
        yield [one.pid for one in sleepers]
    finally:
        for one in sleepers:
            one.kill()
            one.wait()
        for folder in sorted(made, reverse=True):
            while "populated 1" in (folder / "cgroup.events").read_text():
                time.sleep(0.01)
            folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")
def test_within_a_namespace_the_machines_paths_are_found(tmp_path: Path) -> None:
    root = next(
        (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if " cgroup2 " in line), ""
    )
    if not root or not os.access(root, os.W_OK):
        pytest.skip("no cgroup2 file system that may be written to: mount -t cgroup2 none /sys/fs/cgroup/unified")
    if Namespace.here().depth:
        pytest.skip("in a control group namespace nobody sees the machine's paths to compare with")
    ours = f"aperture-{os.getpid()}"
    paths = (f"{ours}/pod1/a", f"{ours}/pod1/b", f"{ours}/pod2/c", ours)
    code = (
        "import sys\nfrom pathlib import Path\nfrom aperture_tui.collect.cgroups import Namespace\n"
        "told = lambda pid: Path(f'/proc/{pid}/cgroup').read_text().split('::')[1].strip()\n"
        "here = Namespace.found(told(1), Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(*(here.absolute(told(pid)) for pid in ('1', 'self', *sys.argv[3:])))"
    )
    with groups(Path(root), *paths) as pids:
        mounted = "unshare -C -m sh -c 'mount -t cgroup2 none $0 && exec \"$@\"'"
        go = f'echo $$ >{root}/{paths[0]}/cgroup.procs && exec {mounted} "$@"'
        command = ["sh", "-c", go, "sh", tmp_path, sys.executable, "-c", code, tmp_path, root, *map(str, pids)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    init = Path("/proc/1/cgroup").read_text().split("::")[1].strip()
    assert done.stdout.split() == [init, *(f"/{one}" for one in (paths[0], *paths))], done.stderr


def test_the_directory_of_a_group_is_found_and_anything_else_refused(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    (root / "user.slice").mkdir(parents=True)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"proc /proc proc rw 0 0\ncgroup2 {root} cgroup2 rw 0 0\n")
    assert directory("user.slice", mounts) == directory("/user.slice", mounts) == root / "user.slice"
    assert directory(str(root / "user.slice"), mounts) == root / "user.slice"
    for wrong in ("../..", "/etc", "no.slice"):
        with pytest.raises(ValueError, match="no control group"):
            directory(wrong, mounts)
    mounts.write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(ValueError, match="mount -t cgroup2"):
        directory("user.slice", mounts)
