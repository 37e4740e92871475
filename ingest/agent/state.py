"""The dock's memory: one folder with its key, what it pinned, its receipts, and a journal of what is under way.

dock.json         who this dock is to which archive, and its key for uploads (mode 0600); written last
keys/<id>.pem     the dock's Ed25519 key
trust.txt         the archive's log and receipt keys, pinned at enrolment; `liuhen verify --key` takes it
ca.pem            the authority of the archive's certificate, when it is not one that the machine knows
receipts/         <sha256>.receipt.json, and <sha256>.manifest.json with the manifest that the receipt speaks of
earlier-<id>/     trust.txt and receipts/ of an archive that this dock belonged to before
rejected/         receipts that did not verify, for whoever looks into it
journal.sqlite3   see `ingest.agent.journal`; may be deleted, then unfinished uploads start again
lock              held while a push runs; the kernel gives it up when the process dies
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from archive.kernel.errors import InvalidInput
from archive.kernel.ids import DockId, new_uuid7, parse_uuid
from archive.ledger.receipt import MAX_RECEIPT_BYTES
from archive.ledger.trustfile import MAX_TRUST_BYTES, TrustFile
from ingest.agent.errors import NotEnrolled, PushRunning, StateBroken
from ingest.agent.journal import Journal
from ingest.agent.wire import Place
from signing.ed25519 import Ed25519KeyHandle
from signing.keyfiles import PRIVATE, PUBLIC, read_secret, replace_durably

DEFAULT_STATE: Final = "~/.liuhen-dock"
STATE_VARIABLE: Final = "LIUHEN_DOCK_STATE"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this dock is: to which archive, with which keys, trusting whom. `algorithms` are the digests it computes."""

    place: Place
    dock_id: DockId
    api_key: str
    key: Ed25519KeyHandle
    trust: TrustFile
    ca_pem: str | None
    algorithms: tuple[str, ...]


class StateFolder:
    """The folder that a dock keeps. Nothing in it is needed to verify a receipt but the receipt and the trust file."""

    def __init__(self, path: Path) -> None:
        """Name the folder."""
        self.path = path

    @classmethod
    def chosen(cls, given: Path | None) -> "StateFolder":
        """Return the folder that was given, or that of LIUHEN_DOCK_STATE, or ~/.liuhen-dock."""
        return cls((given or Path(os.environ.get(STATE_VARIABLE) or DEFAULT_STATE)).expanduser().absolute())

    @property
    def is_enrolled(self) -> bool:
        """Whether an enrolment was completed here."""
        return (self.path / "dock.json").exists()

    def prepare(self) -> None:
        """Make the folder and those in it; nobody else may look into them."""
        for folder in (self.path, *(self.path / name for name in ("keys", "receipts", "rejected"))):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def fresh_key(self, name: str) -> Ed25519KeyHandle:
        """Make a new key under this name. Raises: KeyExists, StorageFull."""
        return Ed25519KeyHandle.generate(self.path / "keys" / f"{name}.pem")

    def store_identity(self, identity: Identity, *, key_name: str) -> None:
        """Write everything that an enrolment gave; the dock is enrolled when the last file is durable."""
        replace_durably(self.path / "trust.txt", str(identity.trust).encode(), mode=PUBLIC)
        if identity.ca_pem is not None:
            replace_durably(self.path / "ca.pem", identity.ca_pem.encode(), mode=PUBLIC)
        fields = {
            "v": _VERSION,
            "server": str(identity.place),
            "dock_id": str(identity.dock_id),
            "api_key": identity.api_key,
            "key": key_name,
            "own_authority": identity.ca_pem is not None,
            "algorithms": list(identity.algorithms),
        }
        replace_durably(self.path / "dock.json", json.dumps(fields, indent=1).encode() + b"\n", mode=PRIVATE)

    def store_api_key(self, api_key: str) -> None:
        """Put another key for uploads in the place of the one that this dock has. Raises: StateBroken, StorageFull."""
        try:
            fields: Any = json.loads(read_secret(self.path / "dock.json"))
            told = {**fields, "api_key": api_key}
        except (ValueError, TypeError) as exc:
            raise StateBroken(folder=str(self.path), cause=type(exc).__name__) from exc
        replace_durably(self.path / "dock.json", json.dumps(told, indent=1).encode() + b"\n", mode=PRIVATE)

    def set_aside(self, *, new_trust: TrustFile) -> None:
        """Before an enrolment with other keys: put the receipts away that the old keys have signed."""
        try:
            old = self.trust()
        except (OSError, InvalidInput):
            return
        if old != new_trust:
            name = f"earlier-{new_uuid7()}"
            (self.path / name).mkdir(mode=0o700)
            for kept in ("trust.txt", "receipts"):
                (self.path / kept).rename(self.path / name / kept)
            self.prepare()

    def identity(self) -> Identity:
        """Read who this dock is.

        Raises: NotEnrolled, StateBroken, KeyMissing, KeyExposed, KeyUnreadable.
        """
        if not self.is_enrolled:
            raise NotEnrolled(state=str(self.path))
        try:
            fields: Any = json.loads(read_secret(self.path / "dock.json"))
            if fields["v"] != _VERSION:
                raise StateBroken("The state folder is of another version", file="dock.json")
            own = bool(fields["own_authority"])
            return Identity(
                place=Place.parse(fields["server"]),
                dock_id=DockId(parse_uuid(fields["dock_id"])),
                api_key=fields["api_key"],
                key=Ed25519KeyHandle.load(self.path / "keys" / f"{parse_uuid(fields['key'])}.pem"),
                trust=self.trust(),
                ca_pem=(self.path / "ca.pem").read_text("ascii") if own else None,
                algorithms=tuple(str(name) for name in fields["algorithms"]),
            )
        except (ValueError, KeyError, TypeError, InvalidInput, OSError) as exc:
            raise StateBroken(folder=str(self.path), cause=type(exc).__name__) from exc

    def trust(self) -> TrustFile:
        """Read the pinned keys. Raises: MalformedTrustFile, OSError."""
        with (self.path / "trust.txt").open("rb") as source:
            return TrustFile.parse(source.read(MAX_TRUST_BYTES + 1))

    @contextmanager
    def pushing(self) -> Iterator[Journal]:
        """Hold the folder for one push and open its journal. Raises: PushRunning, StateBroken."""
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise PushRunning(state=str(self.path)) from exc
            journal = Journal(self.path / "journal.sqlite3")
            try:
                yield journal
            finally:
                journal.close()
        finally:
            os.close(fd)

    def receipt_path(self, sha256: str) -> Path:
        """Return where the receipt of a recording is, or would be."""
        return self.path / "receipts" / f"{sha256}.receipt.json"

    def stored_receipt(self, sha256: str) -> tuple[bytes, bytes] | None:
        """Return the receipt of a recording and the manifest that it speaks of, as stored; not verified yet."""
        try:
            with self.receipt_path(sha256).open("rb") as source:
                envelope = source.read(MAX_RECEIPT_BYTES + 1)
            return envelope, (self.path / "receipts" / f"{sha256}.manifest.json").read_bytes()
        except FileNotFoundError:
            return None

    def store_receipt(self, sha256: str, *, envelope: bytes, manifest: bytes) -> Path:
        """Make a verified receipt durable, with its manifest. Raises: StorageFull."""
        replace_durably(self.path / "receipts" / f"{sha256}.manifest.json", manifest, mode=PUBLIC)
        replace_durably(self.receipt_path(sha256), envelope, mode=PUBLIC)
        return self.receipt_path(sha256)

    def reject_receipt(self, sha256: str, envelope: bytes) -> Path:
        """Keep what was given as a receipt and is none. Raises: StorageFull."""
        path = self.path / "rejected" / f"{sha256}.receipt.json"
        replace_durably(path, envelope, mode=PUBLIC)
        return path
