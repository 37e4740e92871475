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


def verdict(machine: str, *, architecture: int, number: int, argument: int = 0, has_local_sockets: bool = False) -> int:
    program = filter_program(machine, has_local_sockets=has_local_sockets)
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


@pytest.mark.parametrize(
    ("machine", "architecture", "socket", "fork"), [("x86_64", X86, 41, 57), ("aarch64", ARM, 198, 220)]
)
def test_local_sockets_are_the_only_ones_that_may_be_let_through(
    machine: str, architecture: int, socket: int, fork: int
) -> None:
    def asked(number: int, argument: int, *, is_let_through: bool = True) -> int:
        return verdict(
            machine,
            architecture=architecture,
            number=number,
            argument=argument,
            has_local_sockets=is_let_through,
        )

    assert asked(socket, 1) == ALLOW
    assert asked(socket, 1, is_let_through=False) == FAIL | errno.EPERM
    for family in (0, 2, 10, 16, 17, 38, 40):  # internet, netlink, packets, crypto, virtual machines
        assert asked(socket, family) == FAIL | errno.EPERM
    assert asked(fork, 17) == FAIL | errno.EPERM
    assert asked(socket + 1, 1) == asked(socket + 1, 1, is_let_through=False)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_letting_local_sockets_through_changes_nothing_else(number: int, argument: int) -> None:
    plain = verdict("x86_64", architecture=X86, number=number, argument=argument)
    wider = verdict("x86_64", architecture=X86, number=number, argument=argument, has_local_sockets=True)
    assert plain == wider or (number, argument) == (41, 1)
