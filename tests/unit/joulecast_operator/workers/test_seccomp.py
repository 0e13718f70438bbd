"""Test the filter's program for both architectures with an interpreter of BPF."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path

import pytest

from joulecast_operator.workers import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
EPERM, ENOSYS, ALLOW, KILL = 0x50001, 0x50026, 0x7FFF0000, 0x80000000
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALL = {**seccomp.NETWORK, **seccomp.PROCESSES, **seccomp.KERNEL}


def answer(program: bytes, number: int, architecture: int) -> int:
    """Run a program of classic BPF for a system call, like the kernel."""
    lines = list(struct.iter_unpack("=HBBI", program))
    data, loaded, at = {0: number, 4: architecture}, 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        at += 1
        if code == 0x20:
            loaded = data[operand]
        elif code == 0x06:
            return int(operand)
        else:
            holds = loaded == operand if code == 0x15 else loaded > operand
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_are_refused_and_no_others(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    refused = {getattr(call, machine) for call in ALL.values()}
    program = seccomp.program(sorted(refused), architecture)
    found = {number: answer(program, number, architecture) for number in range(470)}
    assert {number for number, said in found.items() if said == EPERM} == refused
    assert set(found.values()) == {EPERM, ALLOW}
    assert answer(program, 470, architecture) == answer(program, 0x40000029, architecture) == ENOSYS  # the latter: x32
    assert answer(program, 41, I386) == KILL


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    numbers = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", HEADERS[machine].read_text()))
    for name, call in ALL.items():
        assert str(getattr(call, machine)) == numbers[name], name


def test_a_machine_that_is_not_known_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.refuse(seccomp.NETWORK)
