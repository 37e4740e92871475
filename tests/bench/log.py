"""The log: entries through the real append, one transaction each, beside pymerkle's and the bare hash loop."""

import hashlib
import os
import time
from pathlib import Path

import pymerkle

from archive.kernel.ids import EntryId
from archive.ledger.append import append_entry
from archive.ledger.entries import OPERATOR, EntryType, NewEntry
from archive.ledger.proofs import inclusion
from archive.settings import load_settings
from archive.wiring import build_services, create_home
from tests.bench.common import Result, drop, median, timed

ENTRIES = 2000
PROOFS = 200


def measure(scratch: Path) -> list[Result]:
    """Measure durable appends by one writer, sequencing, and proofs."""
    home = scratch / "home"
    create_home(load_settings(home=home))
    services = build_services(load_settings(home=home))
    ids: list[EntryId] = []

    def append() -> None:
        for _ in range(ENTRIES):
            with services.database.begin() as tx:
                ids.append(append_entry(tx, NewEntry(EntryType.ADMIN_INIT, OPERATOR), at=services.clock.now()))

    appending = timed(append)
    sequencing = 0.0
    while True:
        time.sleep(0.01)  # the clock must move between two checkpoints
        started = time.perf_counter()
        if services.sequencer.sequence() == 0:
            break
        sequencing += time.perf_counter() - started

    def prove(entry_id: EntryId) -> None:
        with services.database.read() as tx:
            assert inclusion(tx, entry_id) is not None

    proof = median(timed(lambda entry_id=entry_id: prove(entry_id)) for entry_id in ids[:PROOFS])
    services.close()
    drop(home)
    tree = pymerkle.SqliteTree(str(scratch / "pymerkle.db"))
    bodies = [os.urandom(400) for _ in range(ENTRIES)]
    theirs = timed(lambda: [tree.append_entry(body) for body in bodies])
    their_proof = median(timed(lambda index=index: tree.prove_inclusion(index)) for index in range(1, PROOFS))
    (scratch / "pymerkle.db").unlink()
    bare = timed(lambda: [hashlib.sha256(b"\x00" + body).digest() for body in bodies])
    return [
        Result(
            f"Log entries, one durable transaction each, one writer ({ENTRIES})",
            "entries/s",
            ENTRIES / appending,
            {"pymerkle SqliteTree": ENTRIES / theirs, "bare hash loop": ENTRIES / bare},
        ),
        Result("Sequencing them", "entries/s", ENTRIES / sequencing),
        Result("One inclusion proof, from the database", "ms", proof * 1000, {"pymerkle": their_proof * 1000}),
    ]
