"""The process whose calls fail: takes in recordings, appends entries, sequences, publishes, anchors; says what it did.

`python -m tests.campaign.syscalls.writer HOME`. A line `acked <id>` means: this entry is durable, or this upload is.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import select

from archive.kernel.errors import LiuhenError
from archive.kernel.ids import UploadId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.settings import Settings
from archive.wiring import Services, build_services
from ingest.accept import finish_upload
from ingest.models import Upload

_ENTRIES_EACH: Final = 3


def main(home: Path) -> int:
    """Get ready, wait for a line, work; return 0 when nothing failed."""
    services = build_services(Settings(home=home))
    services.sequencer.recover()
    with services.database.read() as tx:
        uploads = [UploadId(found) for found in tx.scalars(select(Upload.id).where(Upload.state == "complete"))]
    _tell("ready")
    sys.stdin.readline()
    has_failed = False
    for upload_id in uploads:
        has_failed |= _failed(lambda upload_id=upload_id: _take_in(services, upload_id))
        for _ in range(_ENTRIES_EACH):
            has_failed |= _failed(lambda: _append(services))
        has_failed |= _failed(lambda: _sequence(services))
    services.close()
    return int(has_failed)


def _take_in(services: Services, upload_id: UploadId) -> None:
    finish_upload(services.intake, upload_id)
    _tell(f"acked {upload_id}")


def _append(services: Services) -> None:
    with services.database.begin() as tx:
        entry_id = append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR), at=services.clock.now())
    _tell(f"acked {entry_id}")


def _sequence(services: Services) -> None:
    services.sequencer.sequence()
    _tell(f"published {services.published.checkpoint()!r}")
    services.anchor_rounds.anchors.anchor()
    _tell("anchored")


def _failed(work: Callable[[], None]) -> bool:
    """Do it as the service's processes do: what may be tried again is tried later, anything else ends the process."""
    try:
        work()
    except LiuhenError as error:
        _tell(f"refused {error.code}")
        if not error.retryable:
            raise
        return True
    return False


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
