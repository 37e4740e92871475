"""What must hold after each fault, looked up in the stores and the database, not asked of the service.

Shared by `kills` and `faults`; where the bytes lie is `Shelves`.
"""

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, and_, not_, select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.fsck.raw import as_uuid, rows
from archive.jobs.models import Job
from archive.kernel.errors import LiuhenError
from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.note import VerifierKey
from archive.ledger.proofs import consistency, head
from archive.ledger.tree import EMPTY_ROOT, verify_consistency
from archive.ledger.trustfile import TrustFile
from tests.campaign.kills.docks import Delivery, Ledger, checkpoints_of


@dataclass(slots=True)
class Checked:
    """How much was looked at, over all rounds."""

    fsck_findings: int = 0
    originals: int = 0
    renditions: int = 0
    checkpoints: int = 0
    ocfl_objects: int = 0


class Shelves(Protocol):
    """Where the bytes lie, read past the service."""

    def original(self, object_id: str, content_path: str) -> str | None:
        """Return the sha512 of an original, found through the inventory alone; None where it cannot be read."""
        ...

    def doubled(self, object_id: str) -> Sequence[str]:
        """Say what of an object is there more than once."""
        ...

    def rendition(self, key: str) -> str | None:
        """Return the sha256 of a rendition; None where it is not there."""
        ...

    def quarantined(self, upload_id: str) -> bytes | None:
        """Return what was put aside; None where nothing was."""
        ...

    def leftovers(self, alive: Collection[str]) -> Iterator[str]:
        """Yield what belongs to no work under way: no upload of `alive`, and nothing fresh."""
        ...

    def judged(self) -> tuple[int, Sequence[str]]:
        """Return how many objects a program that is not ours finds valid, and what it finds wrong."""
        ...


class Commanding(Protocol):
    """What runs `liuhen` over the archive."""

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        ...


class Checks:
    """Holds what the docks were told against what is there."""

    def __init__(
        self, service: Commanding, database: Database, trust: TrustFile, ledger: Ledger, shelves: Shelves
    ) -> None:
        """Look with a database connection of our own."""
        self._service, self._shelves = service, shelves
        self._database = database
        self._trust = trust
        self._ledger = ledger
        self.checked = Checked()

    def waiting(self) -> list[str]:
        """Return what the archive has still to do; empty when it is quiet."""
        with self._database.read() as tx:
            connection = tx.connection()
            jobs = [
                f"job {job.kind} is {job.state}, attempt {job.attempt}, {job.last_error}"
                for job in _unfinished(tx)
                if job.state != "dead"
            ]
            pending = _count(connection, "SELECT count(*) AS n FROM log_pending")
            complete = _count(connection, "SELECT count(*) AS n FROM upload WHERE state = 'complete'")
        return [
            *jobs,
            *([f"{pending} entries have no index"] if pending else []),
            *([f"{complete} uploads are complete and not finished"] if complete else []),
        ]

    def after_round(self, deliveries: Sequence[Delivery], *, is_deep: bool = True) -> list[str]:
        """Check everything, with the bytes of these deliveries; return what does not hold. `is_deep`: with fsck."""
        wrong = [*self._fsck()] if is_deep else []
        with self._database.snapshot() as tx:
            connection = tx.connection()
            wrong += self._items(connection, deliveries)
            wrong += self._doubles(connection)
            wrong += [f"job {job.kind} {job.id} is {job.state}: {job.last_error}" for job in _unfinished(tx)]
            notes = dict.fromkeys(checkpoints_of(found.receipt) for found in deliveries if found.receipt)
            wrong += self._log(notes | self._ledger.checkpoints)
        return wrong

    def at_the_end(self) -> list[str]:
        """Check every delivery of the whole run again, and the store with a program that is not ours."""
        wrong = self.after_round(self._ledger.deliveries)
        wrong += [f"{name} belongs to no work, and no start has removed it" for name in self.leftovers()]
        self.checked.ocfl_objects, invalid = self._shelves.judged()
        return [*wrong, *invalid]

    def leftovers(self) -> list[str]:
        """Return files that belong to no work under way: they harm nothing, and should not pile up."""
        with self._database.read() as tx:
            connection = tx.connection()
            alive = _uploads(connection, "receiving") | _uploads(connection, "complete")
        return list(self._shelves.leftovers(alive))

    def _fsck(self) -> Iterator[str]:
        ran = self._service.command("fsck", "--json")
        try:
            report: Any = json.loads(ran.stdout)
        except ValueError:
            yield f"fsck ended with {ran.returncode}: {ran.stderr[-500:]}"
            return
        self.checked.fsck_findings += len(report.get("findings", ()))
        for found in report.get("findings", ()):
            if found["outcome"] != "valid":
                yield f"fsck: {found['code']} {found['message']} {found['where']}"
        if ran.returncode != 0 or report.get("outcome") != "valid":
            yield f"fsck ended with {ran.returncode} and says {report.get('outcome', report)}"

    def _items(self, connection: Connection, deliveries: Iterable[Delivery]) -> Iterator[str]:
        known = {
            row["sha512"]: row
            for row in rows(
                connection,
                "SELECT o.id, o.sha512, o.content_path, i.play_state FROM preserved_object o "
                "JOIN evidence_item i ON i.object_id = o.id",
            )
        }
        states = {as_uuid(row["id"]): row["state"] for row in rows(connection, "SELECT id, state FROM upload")}
        for delivery in deliveries:
            name, content = delivery.recording.name, delivery.recording.content
            sha512 = hashlib.sha512(content).hexdigest()
            wanted = "quarantined" if delivery.recording.is_lie else "accepted"
            if states.get(delivery.upload_id) != wanted:
                yield f"{name}: upload {delivery.upload_id} is {states.get(delivery.upload_id)}, not {wanted}"
            if delivery.recording.is_lie:
                if self._shelves.quarantined(delivery.upload_id) != content:
                    yield f"{name}: its bytes are not in quarantine"
                if sha512 in known:
                    yield f"{name}: an item was made of bytes that no manifest names"
                continue
            row = known.get(sha512)
            if row is None:
                yield f"{name}: there is no item of these bytes, and the dock has a receipt"
                continue
            self.checked.originals += 1
            if self._shelves.original(as_uuid(row["id"]), row["content_path"]) != sha512:
                yield f"{name}: the original of {as_uuid(row['id'])} cannot be read, or differs"
            if row["play_state"] != "playable":
                yield f"{name}: item {as_uuid(row['id'])} is {row['play_state']}, not playable"
            yield from self._shelves.doubled(as_uuid(row["id"]))
            for made in rows(connection, "SELECT * FROM rendition WHERE object_id = :id", id=row["id"]):
                self.checked.renditions += 1
                if self._shelves.rendition(made["key"]) != made["sha256"]:
                    yield f"{name}: its {made['kind']} {made['key']} cannot be read, or differs"

    def _doubles(self, connection: Connection) -> Iterator[str]:
        for row in rows(
            connection,
            "SELECT sha512, count(*) AS n FROM preserved_object WHERE kind = 'item' "
            "GROUP BY sha512 HAVING count(*) > 1",
        ):
            yield f"{row['n']} items have the bytes {row['sha512'][:16]}"
        entries = [json.loads(bytes(row["body"])) for row in rows(connection, "SELECT body FROM log_entry")]
        preserved = Counter(entry["obj"]["id"] for entry in entries if entry["type"] == "object.preserved")
        received = Counter(entry["req"] for entry in entries if entry["type"] == "ingest.received")
        aside = Counter(entry["req"] for entry in entries if entry["type"] == "ingest.quarantined")
        items = {as_uuid(row["id"]) for row in rows(connection, "SELECT id FROM preserved_object WHERE kind = 'item'")}
        for what, found, wanted in (
            ("object.preserved", preserved, items),
            ("ingest.received", received, _uploads(connection, "accepted")),
            ("ingest.quarantined", aside, _uploads(connection, "quarantined")),
        ):
            yield from (f"{count} entries {what} of {key}" for key, count in found.items() if count != 1)
            yield from (f"no entry {what} of {key}" for key in wanted - found.keys())
            yield from (f"an entry {what} of {key}, which is not so" for key in found.keys() - wanted)
        made = Counter((as_uuid(row["object_id"]), row["kind"]) for row in rows(connection, "SELECT * FROM rendition"))
        named = Counter(
            key for entry in entries if entry["type"] == "derivative.created" for key in [entry["obj"]["id"]]
        )
        renditions = {as_uuid(row["id"]) for row in rows(connection, "SELECT id FROM rendition")}
        yield from (f"{count} renditions {kind} of {key}" for (key, kind), count in made.items() if count != 1)
        if set(named) != renditions or any(count != 1 for count in named.values()):
            yield "renditions and their log entries are not one to one"

    def _log(self, notes: Mapping[str, None]) -> Iterator[str]:
        """Each checkpoint that anybody has ever seen must be a beginning of the log as it is now."""
        keys: Sequence[VerifierKey] = self._trust.logs
        with self._database.read() as tx:
            newest = head(tx)
            if newest is None:
                yield "the log has no head"
                return
            for note in notes:
                try:
                    seen: Checkpoint = open_checkpoint(note.encode(), keys=keys, origin=keys[0].name).checkpoint
                    self.checked.checkpoints += 1
                    if seen.size == 0 and seen.root == EMPTY_ROOT:
                        continue
                    proof = consistency(tx, old_size=seen.size, new_size=newest.size)
                    verify_consistency(
                        old_size=seen.size,
                        old_root=seen.root,
                        new_size=newest.size,
                        new_root=newest.root,
                        proof=proof,
                    )
                except LiuhenError as error:
                    yield f"a checkpoint that was seen is no beginning of the log: {error.code} {note.splitlines()[:2]}"


def _uploads(connection: Connection, state: str) -> set[str]:
    found = rows(connection, "SELECT id FROM upload WHERE state = :state", state=state)
    return {as_uuid(row["id"]) for row in found}


def _count(connection: Connection, sql: str) -> int:
    return int(next(iter(rows(connection, sql)))["n"])


def _unfinished(tx: Session) -> Sequence[Job]:
    """Jobs with work left; those that come again by themselves, named by their kind, only when they fail."""
    comes_again = and_(Job.key == Job.kind, Job.state.in_(("ready", "running")), Job.last_error.is_(None))
    return tx.scalars(select(Job).where(Job.state != "done", not_(comes_again))).all()
