"""A witness: cosigns checkpoints of the logs that it follows, each after what it has cosigned before.

It shares nothing with an archive: a folder of its own with two keys and one SQLite file. Durable before it answers.

Source: C2SP tlog-witness, add-checkpoint.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archive.kernel.errors import Conflict, InvalidInput, LiuhenError, NotFound, Unavailable
from archive.ledger.checkpoint import Checkpoint
from archive.ledger.keykinds import ED25519_COSIGNATURE, MLDSA44
from archive.ledger.note import NoteSignature, Signer, VerifierKey, is_key_name, signature_of
from archive.ledger.witnessing import (
    AddCheckpoint,
    LogUnknown,
    NotConsistent,
    NotFromThere,
    Seen,
    judge,
    require_signed,
)
from archive.ports.clock import Clock
from signing.ed25519 import Ed25519KeyHandle
from signing.keyfiles import PUBLIC, replace_durably
from signing.mldsa import MlDsa44KeyHandle

_STORE: Final = "witness.sqlite3"
_NAME: Final = "name.txt"
_MOST_NAME_BYTES: Final = 255
_MOST_CONFLICTS: Final = 1000
_BUSY_S: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log_key (origin TEXT NOT NULL, vkey TEXT NOT NULL, PRIMARY KEY (origin, vkey)) STRICT;
CREATE TABLE IF NOT EXISTS seen (
  origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, time_s INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS conflict (
  id INTEGER PRIMARY KEY, origin TEXT NOT NULL, code TEXT NOT NULL, request BLOB NOT NULL, time_s INTEGER NOT NULL
) STRICT;
"""


class WitnessMissing(NotFound):
    """There is no witness in this folder; make one with `liuhen log witness init`."""

    code = "witness.missing"


class WitnessExists(Conflict):
    """There is a witness in this folder already; it was not touched."""

    code = "witness.exists"


class ClockWentBack(LiuhenError):
    """The clock of the witness is behind what it has stated already."""

    code = "witness.clock_went_back"
    retryable = True


@dataclass(frozen=True, slots=True)
class Following:
    """A log that a witness follows, and how far it has cosigned it."""

    origin: str
    seen: Seen
    time_s: int


class WitnessStore:
    """What a witness remembers, in one SQLite file; several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        """Use the file, which is made if it is not there."""
        self._path = path
        with self.writing() as connection:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the only writing transaction there is; durable at the block's end, undone on any exception.

        Raises: Unavailable.
        """
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=EXTRA")  # also the folder, when the journal is gone
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            raise Unavailable("The witness's store does not answer", cause=str(exc)) from exc

    def add_log(self, key: VerifierKey) -> None:
        """Follow the log of this key. Idempotent."""
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO log_key VALUES (?, ?)", (key.name, str(key)))

    def followed(self) -> Sequence[Following]:
        """Return the logs that are followed."""
        query = (
            "SELECT DISTINCT k.origin, s.size, s.root, s.time_s FROM log_key k LEFT JOIN seen s USING (origin) "
            "ORDER BY k.origin"
        )
        with self.writing() as connection:
            rows = connection.execute(query).fetchall()
        return [
            Following(origin, Seen() if size is None else Seen(size, root), time_s or 0)
            for origin, size, root, time_s in rows
        ]


class Witness:
    """Cosigns, with every key that it has."""

    def __init__(self, store: WitnessStore, signers: Sequence[Signer], clock: Clock) -> None:
        """Take the store, the keys and the clock."""
        self.store = store
        self._signers = signers
        self._clock = clock

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The public keys, as policies name them."""
        return tuple(signer.verifier for signer in self._signers)

    def add_checkpoint(self, raw: bytes) -> bytes:
        """Return the cosignature lines on the checkpoint of a request.

        Guarantees: what was cosigned last is compared and replaced in one transaction, durable before anything is
            signed. What contradicts it is kept as evidence against the log.
        Raises: Refusal and what stands below it; ClockWentBack; Unavailable.
        """
        return "".join(f"{line}\n" for line in self.cosign(AddCheckpoint.parse(raw))).encode()

    def cosign(self, request: AddCheckpoint) -> Sequence[NoteSignature]:
        """Return the cosignatures on the checkpoint of a request. Guarantees and raises: as `add_checkpoint`."""
        origin = request.checkpoint.origin
        contradiction: NotFromThere | NotConsistent | None = None
        with self.store.writing() as connection:
            checkpoint = require_signed(request, _keys_of(connection, origin))
            seen, last_s = _seen(connection, origin)
            now_s = int(self._clock.now().timestamp())
            try:
                judge(request, checkpoint, seen)
            except (NotFromThere, NotConsistent) as exc:
                contradiction = exc
                # Another old size is how a log asks where the witness stands; the rest speaks against the log.
                if request.old_size == seen.size:
                    _keep(connection, request, exc.code, now_s)
            else:
                if now_s < last_s:
                    raise ClockWentBack(last=last_s)
                _record(connection, request, checkpoint, now_s)
        if contradiction is not None:
            raise contradiction
        return [signature_of(request.note.text, signer, time_s=now_s) for signer in self._signers]


def create_witness(folder: Path, *, name: str, clock: Clock) -> Witness:
    """Make a witness in a folder: keys and store.

    Raises: WitnessExists; InvalidInput for a name that no key can have.
    """
    if not is_key_name(name) or len(name.encode()) > _MOST_NAME_BYTES:
        raise InvalidInput("A witness's name has no blanks, no plus sign, and at most 255 bytes", name=name[:64])
    if (folder / _NAME).exists():
        raise WitnessExists(home=str(folder))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (folder / "witness.pem", folder / "witness-mldsa.pem"):
        path.unlink(missing_ok=True)  # of an attempt that broke off: it has no name yet and has signed nothing
    Ed25519KeyHandle.generate(folder / "witness.pem")
    MlDsa44KeyHandle.generate(folder / "witness-mldsa.pem")
    WitnessStore(folder / _STORE)
    replace_durably(folder / _NAME, f"{name}\n".encode(), mode=PUBLIC)
    return open_witness(folder, clock=clock)


def open_witness(folder: Path, *, clock: Clock) -> Witness:
    """Open the witness in a folder. Raises: WitnessMissing, and what damaged keys raise."""
    if not (folder / _NAME).is_file() or not (folder / _STORE).is_file():
        # Without its memory a witness could cosign a fork: it must not begin anew under the same keys.
        raise WitnessMissing(home=str(folder))
    name = (folder / _NAME).read_text("utf-8").strip()
    signers = [
        Signer(name, Ed25519KeyHandle.load(folder / "witness.pem"), ED25519_COSIGNATURE),
        Signer(name, MlDsa44KeyHandle.load(folder / "witness-mldsa.pem"), MLDSA44),
    ]
    return Witness(WitnessStore(folder / _STORE), signers, clock)


def _keys_of(connection: sqlite3.Connection, origin: str) -> Sequence[VerifierKey]:
    rows = connection.execute("SELECT vkey FROM log_key WHERE origin = ?", (origin,)).fetchall()
    if not rows:
        raise LogUnknown(origin=origin[:200])
    return [VerifierKey.parse(vkey) for (vkey,) in rows]


def _seen(connection: sqlite3.Connection, origin: str) -> tuple[Seen, int]:
    row = connection.execute("SELECT size, root, time_s FROM seen WHERE origin = ?", (origin,)).fetchone()
    return (Seen(), 0) if row is None else (Seen(row[0], row[1]), row[2])


def _record(connection: sqlite3.Connection, request: AddCheckpoint, checkpoint: Checkpoint, now_s: int) -> None:
    connection.execute(
        "INSERT INTO seen VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE "
        "SET size = excluded.size, root = excluded.root, note = excluded.note, time_s = excluded.time_s",
        (checkpoint.origin, checkpoint.size, checkpoint.root, request.note.to_bytes(), now_s),
    )


def _keep(connection: sqlite3.Connection, request: AddCheckpoint, code: str, now_s: int) -> None:
    connection.execute(
        "INSERT INTO conflict (origin, code, request, time_s) SELECT ?, ?, ?, ? "
        "WHERE (SELECT count(*) FROM conflict WHERE origin = ?) < ?",
        (request.checkpoint.origin, code, request.to_bytes(), now_s, request.checkpoint.origin, _MOST_CONFLICTS),
    )
