"""Which file systems answer by themselves, and which are served by somebody who may not; told without asking them.

Served ones have their files from a server (NFS, CIFS) or a daemon (FUSE), and a system call on one of them may wait for
ever. What is mounted is read in /proc/PID/mountinfo (proc(5)), which asks no file system for anything.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

_LOCAL: Final = frozenset(
    """
    bcachefs binfmt_misc bpf btrfs cgroup cgroup2 configfs cramfs debugfs devpts devtmpfs efivarfs erofs exfat ext2 ext3
    ext4 f2fs fusectl hfsplus hugetlbfs iso9660 jffs2 jfs minix mqueue nilfs2 nsfs ntfs3 overlay proc pstore ramfs
    reiserfs resctrl romfs rootfs securityfs selinuxfs squashfs sysfs tmpfs tracefs ubifs udf vfat xfs zfs
    """.split()  # noqa: SIM905 - one a line would be a page
)
"""Types that answer, whatever they are on."""
_SERVED_BLOCKS: Final = frozenset({"fuseblk", "gfs2", "ocfs2"})
"""On a block device, and yet somebody else is asked: a daemon, or other machines for their locks."""
_LAYERS: Final = re.compile(r"(?:^|,)(?:lowerdir\+?|upperdir|datadir\+)=([^,]*)")
"""Of the options of an overlay, in which colons and commas of names are escaped."""
_LINE: Final = re.compile(r"\d+ \d+ (\d{1,7}):(\d{1,7}) \S+ (/\S*) .*?- (\S+) \S+ (\S+)")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_MAX_BYTES: Final = 16 << 20
_MAX_NAMESPACES: Final = 256
_MAX_DEVICES: Final = 4096
_LOOK_S: Final = 1.0
"""Whether our own mounts have changed is asked at most this often: one system call."""
_BELIEVED_S: Final = 30.0
"""Mounts of other namespaces are read again after this time: numbers of devices are given again to others."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system. point: where, as its reader's root sees it. device: as os.makedev, and as maps have it."""

    device: int
    point: str
    type: str
    served: bool


_UNKNOWN: Final = Mount(0, "", "", served=True)
"""Of a device that nobody has asked about."""


class Mounts:
    """The mounts of one namespace, as one root sees them."""

    def __init__(self, text: str, ours: Mounts | None = None) -> None:
        """text: of a mountinfo. Lines that are not understood are passed over. ours: where it is of another namespace.

        What our own root lies on answers, or we would not run.
        """
        found = [(_mount(line), line[5]) for line in map(_LINE.fullmatch, text.splitlines()) if line is not None]
        roots = [mount.device for mount, _options in found if mount.point == "/"]
        self.our_root: int = ours.our_root if ours is not None else (roots or [-1])[-1]
        found = [(replace(m, served=m.served and m.device != self.our_root), options) for m, options in found]
        self.by_point = {mount.point: mount for mount, _options in found}
        """The last of several on one point is that which is seen."""
        self.by_device = {mount.device: mount for mount, _options in reversed(found)}
        for mount, options in found:
            if mount.type == "overlay" and self._is_over_served(options):
                over = self.by_device[mount.device] = replace(mount, served=True)
                if self.by_point[mount.point] is mount:
                    self.by_point[mount.point] = over
        self.served = any(
            mount.served and not mount.point.startswith(("/proc/", "/sys/")) for mount in self.by_point.values()
        )
        """Whether a path may lead into one. What is mounted on the kernel's own is a trigger of systemd's."""

    def _is_over_served(self, options: str) -> bool:
        """Whether a layer of an overlay lies on a served file system, as far as its options say where it lies."""
        layers = _plain(":".join(_LAYERS.findall(options))).split(":")
        return any(layer.startswith("/") and self.on_the_way(layer) is not None for layer in layers)

    def on_the_way(self, path: str) -> Mount | None:
        """The first served file system that an absolute path without links meets; None if it meets none.

        Where it is not told what the root itself is, as of a process whose root is no mount, that may be one.
        """
        if "/" not in self.by_point:
            return Mount(0, path, "", served=True)
        return next((mount for mount in self._above(path) if mount.served), None)

    def point_above(self, path: str) -> str:
        """The mount point that an absolute path without links is below."""
        return [mount.point for mount in self._above(path)][-1]

    def _above(self, path: str) -> Iterator[Mount]:
        for end in (i for i, letter in enumerate(path + "/") if letter == "/"):
            mount = self.by_point.get(path[:end] or "/")
            if mount is not None:
                yield mount


class MountTable:
    """What is known of the mounts of this machine. Any thread may ask; nothing here waits for a file system."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours = Mounts("")
        self._changes: tuple[int, select.poll] | None = None
        self._looked_at = float("-inf")
        self._others: dict[int, tuple[float, Mounts]] = {}
        self._served: dict[int, Mount | None] = {}
        self._since = 0.0
        self._memory = _memory_device()

    def ours(self) -> Mounts:
        """Of our own namespace, as it is now or was a second ago."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return self._ours
        with self._lock:
            self._looked_at = now
            if self._changed():
                self._ours = Mounts(_read("/proc/self/mountinfo"))
                self._served = {}
            elif now - self._since > _BELIEVED_S or len(self._served) > _MAX_DEVICES:
                self._since, self._served = now, {}
        return self._ours

    def of(self, pid: int) -> tuple[Mounts, str] | None:
        """The mounts that a process sees, and where among them its root is; None if it has ended."""
        try:
            namespace = os.stat(f"/proc/{pid}/ns/mnt").st_ino
            root = os.readlink(f"/proc/{pid}/root")
            if namespace == os.stat("/proc/self/ns/mnt").st_ino:
                return self.ours(), root
        except OSError:
            return None
        if root != "/":  # what is seen from there differs from process to process
            return Mounts(_read(f"/proc/{pid}/mountinfo"), self.ours()), "/"
        now = time.monotonic()
        at, found = self._others.get(namespace, (float("-inf"), None))
        if found is None or now - at > _BELIEVED_S:
            found = Mounts(_read(f"/proc/{pid}/mountinfo"), self.ours())
            with self._lock:
                if len(self._others) >= _MAX_NAMESPACES:
                    self._others.clear()
                self._others[namespace] = now, found
        return found, "/"

    def served(self, pid: int, device: int) -> Mount | None:
        """The served file system with a device number, met in the maps of a process; None for one that is local.

        What is mounted nowhere is taken for served, unless it is on a block device: it may have been let go of by
        `umount --lazy` because it did not answer.
        """
        ours = self.ours()
        known = self._served.get(device, _UNKNOWN)
        if known is not _UNKNOWN:
            return known
        mount = ours.by_device.get(device)
        if mount is None:
            theirs = self.of(pid)
            if theirs is None:
                return None  # whose it was has ended: nothing of it can be found any more
            nowhere = Mount(device, "", "", not os.major(device) and device != self._memory)
            mount = theirs[0].by_device.get(device, nowhere)
        self._served[device] = mount if mount.served else None
        return self._served[device]

    def _changed(self) -> bool:
        """Whether our mounts are others than when they were read last."""
        if self._changes is None:
            fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._changes = fd, select.poll()
            self._changes[1].register(fd, select.POLLPRI)
            return True
        return bool(self._changes[1].poll(0))


def _memory_device() -> int:
    """Of memory that programs share, which is mounted nowhere."""
    fd = os.memfd_create("device", os.MFD_CLOEXEC)
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(_MAX_BYTES))
    except OSError:
        return ""


def _mount(line: re.Match[str]) -> Mount:
    major, minor, kind = int(line[1]), int(line[2]), line[4]
    served = kind in _SERVED_BLOCKS or not (major or kind in _LOCAL)
    return Mount(os.makedev(major, minor), _plain(line[3]), kind, served)


def _plain(text: str) -> str:
    """Without the octal escapes that the kernel writes for blanks."""
    return _ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), text)


MOUNTS: Final = MountTable()
"""Of this process."""
