"""Refuse system calls by a filter that the kernel runs before each system call of this process and its children.

The filter is a program of classic BPF (linux/filter.h, linux/seccomp.h): it loads the number of the call, compares it
and answers. An unprivileged process may install one, also in a container with the profile RuntimeDefault. It cannot be
removed.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

EPERM: Final = 1
_ENOSYS: Final = 38
_NEWEST: Final = 469
"""Number of file_setattr, the last system call of Linux 6.17. Later calls were not reviewed and get the answer ENOSYS,
as from an older kernel. Calls of x32, which have bit 30 set, are above it too."""


class SystemCall(NamedTuple):
    """The number of a system call on each architecture (arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl).

    - ``x86_64``, ``aarch64``: the number on that architecture.
    """

    x86_64: int
    aarch64: int


NETWORK: Final[Mapping[str, SystemCall]] = {
    "socket": SystemCall(41, 198),
    "socketpair": SystemCall(53, 199),
    "connect": SystemCall(42, 203),
    "bind": SystemCall(49, 200),
    "listen": SystemCall(50, 201),
    "accept": SystemCall(43, 202),
    "accept4": SystemCall(288, 242),
    "sendto": SystemCall(44, 206),
    "sendmsg": SystemCall(46, 211),
    "sendmmsg": SystemCall(307, 269),
    "io_uring_setup": SystemCall(425, 425),  # opens sockets without the calls above
    "io_uring_enter": SystemCall(426, 426),
    "io_uring_register": SystemCall(427, 427),
}
"""System calls that open a connection, accept one, or send on an open one."""
PROCESSES: Final[Mapping[str, SystemCall]] = {
    "execve": SystemCall(59, 221),
    "execveat": SystemCall(322, 281),
    "ptrace": SystemCall(101, 117),
    "process_vm_readv": SystemCall(310, 270),
    "process_vm_writev": SystemCall(311, 271),
    "pidfd_open": SystemCall(434, 434),
    "pidfd_getfd": SystemCall(438, 438),  # would take an open socket from the controller
}
"""System calls that start a program or act on another process of the same user."""
KERNEL: Final[Mapping[str, SystemCall]] = {
    "unshare": SystemCall(272, 97),
    "setns": SystemCall(308, 268),
    "mount": SystemCall(165, 40),
    "bpf": SystemCall(321, 280),
    "userfaultfd": SystemCall(323, 282),
    "perf_event_open": SystemCall(298, 241),
    "add_key": SystemCall(248, 217),
    "request_key": SystemCall(249, 218),
    "keyctl": SystemCall(250, 219),
    "open_by_handle_at": SystemCall(304, 265),
}
"""System calls that computing does not need, and whose errors are used to attack kernels."""

_AUDIT_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_LOAD, _EQUAL, _GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGT|K, BPF_RET|K
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4  # struct seccomp_data
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # SECCOMP_RET_…
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38  # linux/prctl.h
_MODE_FILTER: Final = 2


def refuse(calls: Mapping[str, SystemCall]) -> bool:
    """Make the kernel answer these system calls with EPERM from now on, for good; tells whether it does."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _AUDIT_ARCHITECTURES:
        return False
    numbers = [getattr(call, machine) for call in calls.values()]
    return _installed(program(numbers, _AUDIT_ARCHITECTURES[machine]))


def program(numbers: Sequence[int], architecture: int) -> bytes:
    """Assemble the filter of system calls.

    It answers ``numbers`` with EPERM and numbers above the newest known one with ENOSYS, and kills the process at a
    call of another architecture, such as a 32-bit one, whose numbers mean other calls.
    """
    refused = len(numbers)
    lines = [
        _line(_LOAD, _ARCHITECTURE_OFFSET),
        _line(_EQUAL, architecture, if_true=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER_OFFSET),
        _line(_GREATER, _NEWEST, if_true=refused + 2),
        *(_line(_EQUAL, number, if_true=refused - place) for place, number in enumerate(numbers)),
        _line(_RETURN, _ALLOW),
        _line(_RETURN, _ERRNO | EPERM),
        _line(_RETURN, _ERRNO | _ENOSYS),
    ]
    return b"".join(lines)


def _line(code: int, operand: int, *, if_true: int = 0) -> bytes:
    """Pack a struct sock_filter. If its comparison is true, ``if_true`` lines are skipped, else none."""
    return struct.pack("=HBBI", code, if_true, 0, operand)


class _Program(ctypes.Structure):
    """A struct sock_fprog: the number of lines of a filter, and the lines."""

    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def _installed(lines: bytes) -> bool:
    arguments = ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)
    fprog = _Program(len(lines) // len(_line(0, 0)), lines)
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return False
    if prctl(_PR_SET_NO_NEW_PRIVS, *arguments) != 0:
        return False
    return bool(prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(fprog)) == 0)
