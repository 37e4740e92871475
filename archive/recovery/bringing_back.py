"""A recovery from beginning to end: rows, what follows from them, the entry that tells of it, the log's start."""

from collections.abc import Callable
from pathlib import Path

from archive.db.database import Database
from archive.kernel.instants import Instant
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.sequencer import Sequencer
from archive.recovery.adopting import adopt_unlogged
from archive.recovery.anew import make_anew
from archive.recovery.mark import clear_mark
from archive.recovery.recovering import Recovered, Recovery, counts
from archive.recovery.sources import Sources
from ingest.context import Intake


def bring_back(
    database: Database,
    recovery: Recovery,
    sources: Sources,
    sequencer: Sequencer,
    intake: Intake,
    *,
    home: Path,
    backup_size: int | None,
    at: Instant,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Recovered:
    """Recover, or go on with what broke off; return what came of it. The caller holds the sequencer's lock.

    Guarantees: on return the log goes on from where it was published last, with an entry that tells of the recovery.
    Raises: DatabaseInUse, DatabaseAhead, LogForeign, EntriesLost, SequencerFault, StorageFull.
    """
    recovery.begin()
    result = recovery.run(progress)
    rounds = recovery.set_lost_rounds_aside()
    adopted = adopt_unlogged(intake, sources)
    anew = make_anew(database, sources.recording_rules, at=at)
    detail = {
        "from": result.from_size,
        "size": result.size,
        "backup": backup_size,
        "replayed": result.replayed,
        "not_replayed": result.unknown,
        "findings": len(sources.findings) + sources.hidden,
        "rounds_set_aside": rounds,
        "adopted": adopted,
        "drafts_given_up": anew.drafts,
    }
    with database.begin() as tx:
        append_entry(tx, NewEntry(EntryType.ADMIN_RECOVERED, OPERATOR, detail=detail), at=at)
    clear_mark(home)
    sequencer.recover()
    while sequencer.sequence():
        pass
    result.tables = counts(database)
    return result
