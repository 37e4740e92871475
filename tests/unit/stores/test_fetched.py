"""Copies of what lies in a bucket: they give way to what comes in, but not while somebody reads them."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from archive.adapters.fetched import FetchedBlobs

_SIZE = 1 << 16


@contextlib.contextmanager
def _source() -> Iterator[BinaryIO]:
    yield io.BytesIO(bytes(_SIZE))


def test_copies_give_way_but_not_those_that_are_read(tmp_path: Path) -> None:
    blobs = FetchedBlobs(tmp_path / "fetched", most_bytes=1 << 30, reserve_bytes=0)
    blobs.give_way(1)  # there is no folder yet
    for number in range(3):
        with blobs.file(f"unused-{number}", _SIZE, _source()):
            pass
    with blobs.file("read", _SIZE, _source()) as read:
        blobs.give_way(1)
        assert len(list(read.parent.iterdir())) == 4, "there is room enough, so all stay"
        blobs.give_way(shutil.disk_usage(tmp_path).total * 2)
        assert list(read.parent.iterdir()) == [read]
        assert read.read_bytes() == bytes(_SIZE)
