from __future__ import annotations

import json
from pathlib import Path

import pytest

from aperture_tui.collect.cgroups import container, control_group, directory

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
