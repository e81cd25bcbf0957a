"""Give up for good what a submission has no need of, by the kernel's own means.

Linux only, without privileges and without a helper: namespaces for user, network,
processes and messages; Landlock for files; resource limits; no new privileges. Each is
tried by itself, because what a system allows differs; `confine` tells what held. On
macOS the resource limits hold and nothing else does. None of it protects against a
fault of the kernel, and a process may still use its share of time and memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

from tlcourse.execution import follow_parent

__all__ = ["confine"]

_MiB = 2**20
_NEW = {"user": 0x10000000, "process": 0x20000000, "network": 0x40000000}
_NEW_IPC = 0x08000000
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime")
_KERNEL = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_READ, _OF_FILES = 0b1101, 0b101  # execute, read a file, list a folder
# What rules of each version know: rights of files, of the network, and scopes.
_RIGHTS = ((0, 0), (13, 0), (14, 0), (15, 0), (15, 2), (16, 2))


def confine(folder: Path, memory: int, seconds: int) -> dict[str, str]:
    """Confine this process to a folder; return in a child what held, and how.

    Parameters
    ----------
    folder : Path
        The only folder in which it may write.
    memory : int
        Bytes of private memory for each of its processes.
    seconds : int
        Seconds of a processor for each of them.

    Returns
    -------
    dict of str to str
        What is protected -> by which means. Where a process namespace is to be had,
        the caller goes on as a child, and the parent waits for it and exits.
    """
    linux = sys.platform == "linux"
    held = {"files": "NOT protected", "network": "refused by Python only"}
    held["processes"] = "limited in number, killed as a group"
    readable = _readable()
    if linux:
        _leave_root(folder, readable)
        outer = os.geteuid(), os.getegid()
        if _unshare(_NEW["user"] | _NEW["network"] | _NEW["process"] | _NEW_IPC):
            held["network"] = held["processes"] = "a namespace of their own"
            with contextlib.suppress(OSError):
                Path("/proc/self/setgroups").write_text("deny")
                Path("/proc/self/uid_map").write_text(f"65534 {outer[0]} 1")
                Path("/proc/self/gid_map").write_text(f"65534 {outer[1]} 1")
            _go_on_as_child()
        else:
            follow_parent()
        libc = ctypes.CDLL(None, use_errno=True)
        version, empty = 0x20080522, bytes(24)
        libc.capset(struct.pack("Ii", version, 0), empty)
        libc.prctl(38, 1, 0, 0, 0)  # no new privileges
        if _landlock(libc, folder, readable):
            held["files"] = "Landlock"
    socket.socket.connect = _refuse  # type: ignore[method-assign]
    limits = {"CPU": seconds, "FSIZE": 64 * _MiB, "NPROC": 64, "NOFILE": 256, "CORE": 0}
    # Not the address space: libraries for graphics cards reserve more than there is.
    limits["DATA"] = memory
    for name, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    return held


def _refuse(*_: Any) -> NoReturn:
    raise OSError("a submission is graded without a network")


def _readable() -> list[str]:
    """Return what a submission may read: Python and its packages, but no checks."""
    package = Path(__file__).resolve().parent
    found = [*_SYSTEM, *_KERNEL, sys.prefix, sys.base_prefix, sys.exec_prefix]
    for entry in filter(None, sys.path):
        if Path(entry).resolve() != package.parent:
            found.append(entry)
    found += [str(part) for part in package.iterdir() if part.name != "checks"]
    return [path for path in found if os.path.exists(path)]


def _leave_root(folder: Path, readable: list[str]) -> None:
    """Go on as a user with no rights, if this one is root and Python can be read."""
    if os.geteuid() != 0:
        return
    nobody = 20_000 + os.getpid() % 40_000
    try:
        os.setegid(nobody)
        os.seteuid(nobody)
        able = all(os.access(p, os.R_OK, effective_ids=True) for p in readable)
        os.seteuid(0)
        os.setegid(0)
        if able:
            os.chown(folder, nobody, nobody)
            os.setgroups([])
            os.setresgid(nobody, nobody, nobody)
            os.setresuid(nobody, nobody, nobody)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # so that it may write its uid_map
    except OSError:  # a container that has no such users
        os.seteuid(0)
        os.setegid(0)


def _unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def _go_on_as_child() -> None:
    """Return in the first process of the new namespace, which dies with this one."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        return
    # No thread can be started any more: wait for the child's end or the parent's.
    select.select([0, os.pidfd_open(child)], [], [])
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)  # as a shell tells of a signal


def _landlock(libc: ctypes.CDLL, folder: Path, readable: list[str]) -> bool:
    """Allow reading what is listed, writing in the folder; say whether it holds."""
    if platform.machine() not in ("x86_64", "aarch64"):
        return False
    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        return False
    files, network = ((1 << n) - 1 for n in _RIGHTS[min(version, len(_RIGHTS) - 1)])
    scopes = 3 if version >= 6 else 0
    attributes = struct.pack("QQQ", files, network, scopes)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(444, attributes, size, 0)
    if rules < 0:
        return False
    allowed = [(path, _READ) for path in readable] + [(str(folder), files)]
    allowed += [(path, files) for path in _DEVICES]
    of_files = _OF_FILES | files & (1 << 1 | 1 << 14)  # write, truncate
    for path, rights in allowed:
        with contextlib.suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rights &= files if os.path.isdir(path) else of_files
            libc.syscall(445, rules, 1, struct.pack("<Qi", rights, place), 0)
            os.close(place)
    done: bool = libc.syscall(446, rules, 0) == 0
    os.close(rules)
    return done
