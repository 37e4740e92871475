"""Small recordings of every kind that the archive treats differently, each of fresh bytes."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from archive.kernel.digests import DigestSet, digest_of
from tests.support import footage

COPIED, ENCODED, SOUND, PHOTO, TEXT = "copied", "encoded", "sound", "photo", "text"


@dataclass(frozen=True, slots=True)
class Recording:
    """Bytes to be uploaded. `is_lie`: the dock's manifest will name other bytes, so they must end in quarantine."""

    kind: str
    name: str
    content: bytes
    digests: DigestSet
    is_lie: bool = False


class Material:
    """Makes recordings; a few clips are made by ffmpeg once, and each recording gets bytes of its own."""

    def __init__(self, folder: Path) -> None:
        """Make the clips in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        small = (160, 120)
        self._number = 0
        self._clips = {
            COPIED: footage.make_clip(folder / "copied.mp4", seconds=1.5, size=small).read_bytes(),
            ENCODED: footage.make_clip(
                folder / "encoded.mp4", seconds=2, size=(320, 240), video=("-c:v", "mpeg4", "-q:v", "5")
            ).read_bytes(),
            SOUND: footage.make_clip(folder / "sound.m4a", seconds=1, video=()).read_bytes(),
            PHOTO: footage.still(folder / "photo.jpg", size=(320, 240)).read_bytes(),
            TEXT: b"This is no recording, whatever its name says.\n" * 50,
        }

    def recording(self, kind: str, *, chance: random.Random, is_lie: bool = False) -> Recording:
        """Return a recording that there was never before. Units: 60 to 500 KB."""
        self._number += 1
        room = os.urandom(chance.randrange(60_000, 400_000))
        clip = self._clips[kind]
        if kind == PHOTO:
            comment = room[:60_000]
            content = clip[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + clip[2:]
        elif kind == TEXT:
            content = clip + room.hex()[:60_000].encode()
        else:
            content = clip + (len(room) + 8).to_bytes(4, "big") + b"free" + room
        suffix = {SOUND: "m4a", PHOTO: "jpg"}.get(kind, "mp4")
        told = content[:-1] + bytes([content[-1] ^ 1]) if is_lie else content
        return Recording(kind, f"{kind}-{self._number:04d}.{suffix}", content, digest_of(told), is_lie)
