"""Asking a witness: submits our newest checkpoint with the proof from where the witness stands.

One `WitnessClient` for one witness. Runs outside of every transaction of the sequencer and never delays it.

Source: C2SP tlog-witness, add-checkpoint, from the client's side.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from archive.db.database import Database, unique_or
from archive.kernel.errors import Conflict, InvalidInput, LiuhenError
from archive.ledger.checkpoint import parse_decimal
from archive.ledger.cosigning import add_cosignatures, cosigned, standings
from archive.ledger.note import NoteSignature, NoteSignatureInvalid, NoteUnsigned, SignedNote, open_note
from archive.ledger.policy import Witness, WitnessPolicy
from archive.ledger.proofs import consistency, head
from archive.ledger.witnessing import AddCheckpoint
from archive.ports.clock import Clock
from archive.ports.outbound import AddressRefused, NotEncrypted, Outbound, Reply, Undelivered, UrlRefused

_MOST_TRIES: Final = 4
_MOST_LINES: Final = 16
_PATH: Final = "/add-checkpoint"


class WitnessDisagrees(LiuhenError):
    """A witness has seen another log than this database holds: it is an old copy, or a fork. Nothing may be signed."""

    code = "ledger.witness_disagrees"
    exit_code = 74


class WitnessUnreachable(LiuhenError):
    """A witness does not answer."""

    code = "ledger.witness_unreachable"
    exit_code = 75
    retryable = True


class WitnessRefuses(LiuhenError):
    """A witness answers and does not cosign; see that it follows this log, with these keys."""

    code = "ledger.witness_refuses"
    exit_code = 75
    retryable = True


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    note: bytes


class WitnessClient:
    """Gets the cosignatures of one witness. For one thread at a time."""

    def __init__(self, database: Database, outbound: Outbound, witness: Witness, clock: Clock) -> None:
        """Take the database, the way out, and a witness with an address."""
        if witness.url is None:
            raise InvalidInput("This witness has no address", witness=witness.name)
        self.witness = witness
        self._url = witness.url.rstrip("/") + _PATH
        self._database = database
        self._outbound = outbound
        self._clock = clock
        self._policy = WitnessPolicy((witness,))
        self._old_size: int | None = None

    def is_due(self, *, refresh: timedelta) -> bool:
        """Whether the newest checkpoint lacks this witness's cosignature, or has one that is older than `refresh`."""
        with self._database.read() as tx:
            newest, standing = head(tx), standings(tx, self._policy)[0]
        if newest is None or standing.size != newest.size or standing.time_s is None:
            return newest is not None
        return self._clock.now().timestamp() - standing.time_s >= refresh.total_seconds()

    def submit(self) -> int:
        """Submit the newest checkpoint and store what comes back; return how many cosignatures are new.

        1. Begin where the witness is known to stand, else at nothing.
        2. 200: verify the lines by the pinned key and store them. 409: it stands elsewhere; begin there.
        3. Where it is further on than our newest checkpoint, or holds another root, our log is not the one that it
           knows.

        Raises: WitnessDisagrees, WitnessUnreachable, WitnessRefuses; Unavailable.
        """
        for _ in range(_MOST_TRIES):
            ours, old_size = self._head(), self._begin()
            reply = self._post(self._request(ours, old_size))
            if reply.status == 200:
                added = self._store(ours, reply.body)
                self._old_size = ours.size
                return added
            if reply.status == 422:
                raise WitnessDisagrees("A witness refuses the proof that the log only grew", **self._facts(ours))
            if reply.status != 409:
                raise WitnessRefuses(witness=self.witness.name, status=reply.status)
            self._old_size = self._stands_at(reply, ours, old_size)
        raise WitnessRefuses("A witness changes where it stands faster than it can be asked", witness=self.witness.name)

    def _stands_at(self, reply: Reply, ours: _Head, old_size: int) -> int:
        try:
            theirs = parse_decimal(reply.body.decode("ascii").removesuffix("\n"))
        except (InvalidInput, UnicodeDecodeError) as exc:
            raise WitnessRefuses("A witness answers 409 without a size", witness=self.witness.name) from exc
        newest = self._head()
        if theirs > newest.size:
            raise WitnessDisagrees(
                "A witness has cosigned more than this database holds: is it an old copy?",
                **self._facts(newest),
                cosigned=theirs,
            )
        if theirs == old_size == ours.size:
            raise WitnessDisagrees("A witness has cosigned another root for this size", **self._facts(ours))
        return theirs

    def _facts(self, ours: _Head) -> dict[str, str | int]:
        return {"witness": self.witness.name, "size": ours.size}

    def _head(self) -> _Head:
        with self._database.read() as tx:
            newest = head(tx)
        if newest is None:
            raise WitnessRefuses("The log was not started yet", witness=self.witness.name)
        return _Head(newest.size, newest.note.encode())

    def _begin(self) -> int:
        if self._old_size is None:
            with self._database.read() as tx:
                self._old_size = standings(tx, self._policy)[0].size or 0
        return self._old_size

    def _request(self, ours: _Head, old_size: int) -> bytes:
        if not 0 < old_size < ours.size:
            proof: tuple[bytes, ...] = ()
        else:
            with self._database.read() as tx:
                proof = tuple(consistency(tx, old_size=old_size, new_size=ours.size))
        return AddCheckpoint(min(old_size, ours.size), proof, SignedNote.parse(ours.note)).to_bytes()

    def _post(self, body: bytes) -> Reply:
        headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "liuhen"}
        try:
            return self._outbound.post(self._url, headers=headers, body=body)
        except (AddressRefused, NotEncrypted) as exc:
            told = "The witness's address is not one that may be spoken to; see the setting witness_networks"
            raise WitnessUnreachable(told, witness=self.witness.name, cause=exc.code) from exc
        except (Undelivered, UrlRefused) as exc:
            raise WitnessUnreachable(witness=self.witness.name, cause=exc.code) from exc

    def _store(self, ours: _Head, told: bytes) -> int:
        """Verify the lines of an answer and store them. Raises: WitnessRefuses for lines that are not the witness's."""
        try:
            lines = [NoteSignature.parse(line) for line in told.decode().splitlines()[:_MOST_LINES]]
            note = open_note(cosigned(ours.note, lines), [self.witness.key])
        except (InvalidInput, UnicodeDecodeError, NoteUnsigned, NoteSignatureInvalid) as exc:
            raise WitnessRefuses("A witness answers with something else than its cosignature") from exc
        if note.time_by(self.witness.key) is None:
            raise WitnessRefuses("A witness cosigns without a time", witness=self.witness.name)
        try:
            with unique_or(Conflict), self._database.begin() as tx:
                return add_cosignatures(tx, note, size=ours.size, policy=self._policy, at=self._clock.now())
        except Conflict:  # another process has stored the same line
            return 0
