"""What is told of file systems without asking them."""

from __future__ import annotations

import os
from pathlib import Path

from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.mounts import Mounts, MountTable

_TEXT = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
23 22 0:21 / /proc rw,relatime - proc proc rw
24 23 0:35 / /proc/sys/fs/binfmt_misc rw,relatime shared:14 - autofs systemd-1 rw,fd=29,pgrp=1
25 22 0:40 / /tmp rw - tmpfs tmpfs rw
"""
_NFS = "30 22 0:57 / /mnt/far\\040away rw,relatime shared:3 - nfs4 10.0.0.1:/x rw,vers=4.2,hard\n"


def overlay(options: str) -> str:
    return f"40 22 0:60 / /merged rw - overlay overlay rw,{options}\n"


def test_a_machine_without_servers_has_none_that_a_path_can_lead_into() -> None:
    mounts = Mounts(_TEXT)
    assert not mounts.served
    assert mounts.on_the_way("/usr/bin/true") is None
    assert mounts.by_device[os.makedev(0, 40)].served is False


def test_what_is_served_is_told_by_its_type() -> None:
    mounts = Mounts(_TEXT + _NFS)
    assert mounts.served
    assert mounts.by_device[os.makedev(0, 57)].served
    for kind, served in (
        ("fuse.sshfs", True),
        ("9p", True),
        ("never-heard-of", True),
        ("btrfs", False),
        ("zfs", False),
    ):
        assert Mounts(f"30 22 0:57 / /x rw - {kind} source rw\n").by_device[os.makedev(0, 57)].served is served
    for kind, served in (("xfs", False), ("never-heard-of", False), ("fuseblk", True), ("gfs2", True)):
        assert Mounts(f"30 22 8:1 / /x rw - {kind} /dev/sda1 rw\n").by_device[os.makedev(8, 1)].served is served


def test_a_path_leads_into_what_is_mounted_above_it() -> None:
    mounts = Mounts(_TEXT + _NFS + "31 30 0:58 / /mnt/far\\040away/here rw - tmpfs tmpfs rw\n")
    for path in ("/mnt/far away", "/mnt/far away/bin/x", "/mnt/far away/here/x"):
        met = mounts.on_the_way(path)
        assert met is not None
        assert met.point == "/mnt/far away"
    assert mounts.on_the_way("/mnt/far awayer") is None
    assert [mounts.point_above(path) for path in ("/usr/bin/x", "/tmp/x", "/tmpx")] == ["/", "/tmp", "/"]  # noqa: S108


def test_the_last_of_several_on_one_point_is_the_one_that_is_met() -> None:
    over = "33 22 0:59 / /mnt/far\\040away rw - tmpfs tmpfs rw\n"
    assert Mounts(_TEXT + _NFS + over).on_the_way("/mnt/far away/x") is None
    assert Mounts(_TEXT + over + _NFS).on_the_way("/mnt/far away/x") is not None


def test_an_overlay_answers_no_better_than_its_layers() -> None:
    for options in (
        "lowerdir=/a:/mnt/far\\040away/b,upperdir=/c",
        "lowerdir+=/mnt/far\\040away",
        "upperdir=/mnt/far\\040away/x",
    ):
        mounts = Mounts(_TEXT + _NFS + overlay(options))
        assert mounts.by_device[os.makedev(0, 60)].served, options
        assert mounts.on_the_way("/merged/x") is not None
    assert not Mounts(_TEXT + _NFS + overlay("lowerdir=/a:/b,upperdir=/c")).by_device[os.makedev(0, 60)].served


def test_what_we_run_from_answers() -> None:
    ours = Mounts("22 1 0:20 / / rw - nfs4 10.0.0.1:/root rw\n")
    assert not ours.served
    assert Mounts("50 1 0:20 /container / rw - nfs4 10.0.0.1:/root rw\n", ours).on_the_way("/bin/sh") is None
    assert Mounts("50 1 0:21 / / rw - nfs4 10.0.0.1:/other rw\n", ours).on_the_way("/bin/sh") is not None


def test_a_root_of_which_nothing_is_told_may_be_served() -> None:
    assert Mounts("").on_the_way("/x") is not None


def test_lines_that_are_not_understood_are_passed_over() -> None:
    assert (
        Mounts("garbage\n1 2 3\n" + _TEXT + "99 22 x:y / /z rw - ext4 a rw").by_device.keys()
        == Mounts(_TEXT).by_device.keys()
    )


def test_what_this_machine_says_of_our_own_files(tmp_path: Path) -> None:
    table = MountTable()
    for mapping in executable_mappings(os.getpid()):
        if mapping.has_file:
            assert table.served(os.getpid(), mapping.device) is None


def test_shared_memory_is_local_and_what_is_mounted_nowhere_is_not() -> None:
    table = MountTable()
    fd = os.memfd_create("x")
    assert table.served(os.getpid(), os.fstat(fd).st_dev) is None
    os.close(fd)
    assert table.served(os.getpid(), os.makedev(0, 0xFFFFF)) is not None
    assert table.served(os.getpid(), os.makedev(259, 0xFFFF)) is None
