"""A system call filter for the sandbox: no new processes, no sockets, no changes of namespaces or kernel state.

Why: the process limit does not bind programs that run for root, and parsers need none of these calls. Threads stay
allowed. Refused calls return an error, so that libraries which only try them go on.
Source: Linux Documentation/userspace-api/seccomp_filter.rst; <linux/filter.h>, <linux/seccomp.h>, <linux/audit.h>.
"""

import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_JUMP_BITS_SET: Final = 0x45
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_FAIL: Final = 0x00050000

_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_OFFSET_FIRST_ARGUMENT: Final = 16
_CLONE_THREAD: Final = 0x00010000
_X32_BIT: Final = 0x40000000
_LOCAL_FAMILY: Final = 1


@dataclass(frozen=True, slots=True)
class _Machine:
    audit_code: int
    clone: int
    refused: Mapping[str, int]


_SHARED_NUMBERS: Final = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_MACHINES: Final[Mapping[str, _Machine]] = {
    "x86_64": _Machine(
        audit_code=0xC000003E,
        clone=56,
        refused=_SHARED_NUMBERS
        | {
            "socket": 41,
            "socketpair": 53,
            "fork": 57,
            "vfork": 58,
            "ptrace": 101,
            "pivot_root": 155,
            "chroot": 161,
            "mount": 165,
            "umount2": 166,
            "init_module": 175,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "finit_module": 313,
            "bpf": 321,
            "userfaultfd": 323,
        },
    ),
    "aarch64": _Machine(
        audit_code=0xC00000B7,
        clone=220,
        refused=_SHARED_NUMBERS
        | {
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "chroot": 51,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "ptrace": 117,
            "socket": 198,
            "socketpair": 199,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "perf_event_open": 241,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "finit_module": 273,
            "bpf": 280,
            "userfaultfd": 282,
        },
    ),
}
_CLONE3: Final = 435
# Answered with "no such call", after which the C library falls back to clone, whose flags a filter can read.


def filter_program(machine: str | None = None, *, has_local_sockets: bool = False) -> bytes | None:
    """Return the filter for this machine as a classic BPF program, or None where no table exists.

    `has_local_sockets`: sockets of the family AF_UNIX pass, of which none leads out of the sandbox's own namespaces.
    1. Another architecture's calls kill the process.  2. x32 numbers fail.  3. clone3 is reported as missing.
    4. clone passes only for threads.  5. Calls of the table fail with EPERM.  6. Everything else passes.
    """
    table = _MACHINES.get(machine or platform.machine())
    if table is None:
        return None
    refused = sorted(number for name, number in table.refused.items() if name != "socket" or not has_local_sockets)
    program = [
        _step(_LD_WORD, value=_OFFSET_ARCHITECTURE),
        _step(_JUMP_EQUAL, yes=1, value=table.audit_code),
        _step(_RETURN, value=_KILL_PROCESS),
        _step(_LD_WORD, value=_OFFSET_NUMBER),
        _step(_JUMP_GREATER_EQUAL, no=1, value=_X32_BIT),
        _step(_RETURN, value=_FAIL | errno.ENOSYS),
        _step(_JUMP_EQUAL, no=1, value=_CLONE3),
        _step(_RETURN, value=_FAIL | errno.ENOSYS),
        _step(_JUMP_EQUAL, no=4, value=table.clone),
        _step(_LD_WORD, value=_OFFSET_FIRST_ARGUMENT),
        _step(_JUMP_BITS_SET, no=1, value=_CLONE_THREAD),
        _step(_RETURN, value=_ALLOW),
        _step(_RETURN, value=_FAIL | errno.EPERM),
    ]
    if has_local_sockets:
        program += [
            _step(_JUMP_EQUAL, no=4, value=table.refused["socket"]),
            _step(_LD_WORD, value=_OFFSET_FIRST_ARGUMENT),
            _step(_JUMP_EQUAL, no=1, value=_LOCAL_FAMILY),
            _step(_RETURN, value=_ALLOW),
            _step(_RETURN, value=_FAIL | errno.EPERM),
        ]
    for position, number in enumerate(refused):
        program.append(_step(_JUMP_EQUAL, yes=len(refused) - position, value=number))
    program.append(_step(_RETURN, value=_ALLOW))
    program.append(_step(_RETURN, value=_FAIL | errno.EPERM))
    return b"".join(program)


def _step(code: int, *, yes: int = 0, no: int = 0, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)
