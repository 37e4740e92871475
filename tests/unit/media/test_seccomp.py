"""The system call filter, run by a small interpreter of classic BPF."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.media.seccomp import filter_program

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
X86, ARM = 0xC000003E, 0xC00000B7
CLONE_THREAD, CLONE_NEWUSER = 0x00010000, 0x10000000


def verdict(machine: str, *, architecture: int, number: int, argument: int = 0) -> int:
    program = filter_program(machine)
    assert program is not None
    steps = list(struct.iter_unpack("<HBBI", program))
    memory = {0: number, 4: architecture, 16: argument & 0xFFFFFFFF}
    at, accumulator = 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:
            accumulator = memory[value]
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += yes if holds else no


@pytest.mark.parametrize(
    ("number", "argument", "expected"),
    [
        (0, 0, ALLOW),  # read
        (1, 0, ALLOW),  # write
        (59, 0, ALLOW),  # execve
        (57, 0, FAIL | errno.EPERM),  # fork
        (58, 0, FAIL | errno.EPERM),  # vfork
        (56, CLONE_THREAD, ALLOW),
        (56, 17, FAIL | errno.EPERM),  # clone of a process
        (56, CLONE_NEWUSER, FAIL | errno.EPERM),
        (435, 0, FAIL | errno.ENOSYS),  # clone3: the C library falls back to clone
        (41, 0, FAIL | errno.EPERM),  # socket
        (101, 0, FAIL | errno.EPERM),  # ptrace
        (165, 0, FAIL | errno.EPERM),  # mount
        (272, 0, FAIL | errno.EPERM),  # unshare
        (308, 0, FAIL | errno.EPERM),  # setns
        (321, 0, FAIL | errno.EPERM),  # bpf
        (425, 0, FAIL | errno.EPERM),  # io_uring_setup
        (0x40000000 | 57, 0, FAIL | errno.ENOSYS),  # x32
    ],
)
def test_calls_on_x86(number: int, argument: int, expected: int) -> None:
    assert verdict("x86_64", architecture=X86, number=number, argument=argument) == expected


@pytest.mark.parametrize(
    ("number", "argument", "expected"),
    [
        (63, 0, ALLOW),  # read
        (220, CLONE_THREAD, ALLOW),
        (220, 17, FAIL | errno.EPERM),
        (435, 0, FAIL | errno.ENOSYS),
        (198, 0, FAIL | errno.EPERM),  # socket
        (117, 0, FAIL | errno.EPERM),  # ptrace
    ],
)
def test_calls_on_arm(number: int, argument: int, expected: int) -> None:
    assert verdict("aarch64", architecture=ARM, number=number, argument=argument) == expected


def test_calls_of_another_architecture_kill() -> None:
    assert verdict("x86_64", architecture=0x40000003, number=1) == KILL
    assert verdict("aarch64", architecture=X86, number=1) == KILL


@given(number=st.integers(0, 500), argument=st.integers(0, 2**32 - 1))
def test_every_number_ends_in_a_verdict(number: int, argument: int) -> None:
    known = {ALLOW, FAIL | errno.EPERM, FAIL | errno.ENOSYS}
    assert verdict("x86_64", architecture=X86, number=number, argument=argument) in known
    assert verdict("aarch64", architecture=ARM, number=number, argument=argument) in known


def test_other_processors_have_no_filter() -> None:
    assert filter_program("s390x") is None
