"""The immutable flag of Linux file systems (`chattr +i`): best effort, for root only, not on every file system.

It stops everybody, the owner and root included, until somebody with CAP_LINUX_IMMUTABLE takes it off: a seat belt,
not a proof.
"""

import array
import fcntl
import os
from pathlib import Path
from typing import Final

from archive.adapters.durable import ScratchFile

# Source: include/uapi/linux/fs.h. The argument is an int, though the request number was made with `long`.
_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_IMMUTABLE: Final = 0x00000010


def set_immutable(path: Path, *, on: bool) -> bool:
    """Set or clear the flag; return whether the file now is as asked. False where system or file system refuse."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        flags = array.array("i", [0])
        fcntl.ioctl(fd, _GET_FLAGS, flags)
        if bool(flags[0] & _IMMUTABLE) is on:
            return True
        flags[0] = flags[0] | _IMMUTABLE if on else flags[0] & ~_IMMUTABLE
        fcntl.ioctl(fd, _SET_FLAGS, flags)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def holds_immutable(file: ScratchFile) -> bool:
    """Return whether the flag really keeps this process from writing to a scratch file. It is off again afterwards."""
    if not set_immutable(file.path, on=True):
        return False
    try:
        os.close(os.open(file.path, os.O_WRONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    else:
        return False
    finally:
        set_immutable(file.path, on=False)
