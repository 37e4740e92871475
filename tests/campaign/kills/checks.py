"""What must hold after each kill, looked up in the stores and the database, not asked of the service."""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ocfl
from sqlalchemy import Connection, and_, not_, select
from sqlalchemy.orm import Session

from archive.db.database import Database
from archive.fsck.raw import as_uuid, files_below, rows
from archive.jobs.models import Job
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import ObjectId, parse_uuid
from archive.ledger.checkpoint import Checkpoint, open_checkpoint
from archive.ledger.note import VerifierKey
from archive.ledger.proofs import consistency, head
from archive.ledger.tree import EMPTY_ROOT, verify_consistency
from archive.ledger.trustfile import TrustFile
from archive.ocfl.layout import object_root
from tests.campaign.kills.docks import Delivery, Ledger, checkpoints_of
from tests.campaign.kills.service import Service


@dataclass(slots=True)
class Checked:
    """How much was looked at, over all rounds."""

    fsck_findings: int = 0
    originals: int = 0
    checkpoints: int = 0
    ocfl_objects: int = 0


class Checks:
    """Holds what the docks were told against what is there."""

    def __init__(self, service: Service, database: Database, trust: TrustFile, ledger: Ledger) -> None:
        """Look with a database connection of our own."""
        self._service = service
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

    def after_round(self, deliveries: Sequence[Delivery]) -> list[str]:
        """Check everything, with the bytes of these deliveries; return what does not hold."""
        wrong = [*self._fsck()]
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
        judge = ocfl.StorageRoot(root=str(self._service.home / "store"))
        logging.disable(logging.INFO)  # it says on the root logger which layout it found
        try:
            is_valid = judge.validate(log_errors=False)
        finally:
            logging.disable(logging.NOTSET)
        if not is_valid or judge.good_objects != judge.num_objects:
            wrong.append(f"ocfl-py: {judge.good_objects} of {judge.num_objects} objects are valid; {judge.errors[:3]}")
        self.checked.ocfl_objects = judge.good_objects
        return wrong

    def leftovers(self) -> list[str]:
        """Return files that belong to no work under way: they harm nothing, and should not pile up."""
        return list(self._leftovers())

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
                kept = self._service.home / "quarantine" / delivery.upload_id / "bytes"
                if not kept.is_file() or kept.read_bytes() != content:
                    yield f"{name}: its bytes are not in quarantine"
                if sha512 in known:
                    yield f"{name}: an item was made of bytes that no manifest names"
                continue
            row = known.get(sha512)
            if row is None:
                yield f"{name}: there is no item of these bytes, and the dock has a receipt"
                continue
            self.checked.originals += 1
            if _original(self._service.home / "store", as_uuid(row["id"]), row["content_path"]) != sha512:
                yield f"{name}: the original of {as_uuid(row['id'])} cannot be read, or differs"
            if row["play_state"] != "playable":
                yield f"{name}: item {as_uuid(row['id'])} is {row['play_state']}, not playable"

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

    def _leftovers(self) -> Iterator[str]:
        with self._database.read() as tx:
            connection = tx.connection()
            alive = _uploads(connection, "receiving") | _uploads(connection, "complete")
        home = self._service.home
        yield from (f"staging/{path.name}" for path in files_below(home / "staging") if path.name not in alive)
        yield from (f"work/{path.name}" for path in (home / "work").iterdir())
        # Scratch files of the last minute are not swept: their maker might have died just now.
        fresh = time.time() - 60
        scratch = (path for path in (home / "scratch").glob("*.tmp") if path.stat().st_mtime < fresh)
        yield from (f"scratch/{path.name}" for path in scratch)


def _original(store: Path, object_id: str, content_path: str) -> str | None:
    """Return the sha512 of an original, found through the inventory alone."""
    folder = store / object_root(ObjectId(parse_uuid(object_id)))
    inventory = json.loads((folder / "inventory.json").read_bytes())
    for digest, names in inventory["versions"][inventory["head"]]["state"].items():
        if content_path in names:
            return hashlib.sha512((folder / inventory["manifest"][digest][0]).read_bytes()).hexdigest()
    return None


def _uploads(connection: Connection, state: str) -> set[str]:
    found = rows(connection, "SELECT id FROM upload WHERE state = :state", state=state)
    return {as_uuid(row["id"]) for row in found}


def _count(connection: Connection, sql: str) -> int:
    return int(next(iter(rows(connection, sql)))["n"])


def _unfinished(tx: Session) -> Sequence[Job]:
    """Jobs with work left; those that come again by themselves, named by their kind, only when they fail."""
    comes_again = and_(Job.key == Job.kind, Job.state.in_(("ready", "running")), Job.last_error.is_(None))
    return tx.scalars(select(Job).where(Job.state != "done", not_(comes_again))).all()
