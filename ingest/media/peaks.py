"""The loudest and the quietest sample of each stretch of sound: what a waveform is drawn from.

Format: audiowaveform's binary data, version 2, with 8 bits (docs/formats/looks.md). Memory is bounded whatever the
length: a stretch grows as the recording does.
"""

import struct
import sys
from array import array
from typing import Final

SAMPLE_RATE: Final = 8000
"""Samples a second that are looked at."""
MOST_PEAKS: Final = 8000
_FIRST_STRETCH: Final = 80
_SAMPLE_BYTES: Final = 2
_VERSION: Final = 2
_IS_8_BIT: Final = 1


class Peaks:
    """Takes mono sound of 16 bits as it comes, and keeps at most `MOST_PEAKS` pairs of lowest and highest."""

    def __init__(self) -> None:
        """Begin with stretches of a hundredth of a second."""
        self._stretch = _FIRST_STRETCH
        self._lowest: list[int] = []
        self._highest: list[int] = []
        self._rest = bytearray()
        self._samples = 0

    @property
    def duration_ms(self) -> int:
        """How much sound was taken."""
        return self._samples * 1000 // SAMPLE_RATE

    def feed(self, block: bytes) -> None:
        """Take the next bytes, little-endian; a sample may be cut."""
        self._rest += block
        whole = len(self._rest) // _SAMPLE_BYTES * _SAMPLE_BYTES
        samples = array("h", bytes(self._rest[:whole]))
        at = 0
        while len(samples) - at >= self._stretch:
            self._add(samples[at : at + self._stretch])
            at += self._stretch
        del self._rest[: at * _SAMPLE_BYTES]

    def finish(self, *, start_ms: int = 0) -> bytes:
        """Return the file; `start_ms`: when in the recording the sound begins, silent before."""
        rest = array("h", bytes(self._rest[: len(self._rest) // _SAMPLE_BYTES * _SAMPLE_BYTES]))
        self._rest.clear()
        if rest:
            self._add(rest)
        while len(self._lowest) + self._before(start_ms) > MOST_PEAKS and self._before(start_ms):
            self._merge()
        before = [0] * self._before(start_ms)
        pairs = array("b")
        for lowest, highest in zip(before + self._lowest, before + self._highest, strict=True):
            pairs.extend((lowest >> 8, highest >> 8))
        length = len(pairs) // 2
        return struct.pack("<iIiiIi", _VERSION, _IS_8_BIT, SAMPLE_RATE, self._stretch, length, 1) + pairs.tobytes()

    def _before(self, start_ms: int) -> int:
        return max(0, start_ms) * SAMPLE_RATE // 1000 // self._stretch

    def _add(self, samples: "array[int]") -> None:
        if sys.byteorder == "big":
            samples.byteswap()
        self._samples += len(samples)
        self._lowest.append(min(samples))
        self._highest.append(max(samples))
        if len(self._lowest) == MOST_PEAKS:
            self._merge()

    def _merge(self) -> None:
        self._lowest = [min(self._lowest[at : at + 2]) for at in range(0, len(self._lowest), 2)]
        self._highest = [max(self._highest[at : at + 2]) for at in range(0, len(self._highest), 2)]
        self._stretch *= 2
