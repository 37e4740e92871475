"""Who complained: encrypted at rest, masked on screen, shown whole for a purpose, and never to whom it is about."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.callers import Caller
from archive.access.policy import Capability, require
from archive.cases.identifiers import masked
from archive.complaints.handlers import complaint_to_handle
from archive.complaints.models import Complaint
from archive.custody.accesses import record_access
from archive.db.database import Database
from archive.kernel.errors import NotFound
from archive.kernel.ids import ComplaintId
from archive.kernel.instants import Instant
from archive.kernel.texts import clean_text
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.clock import Clock
from archive.ports.identifiers import IdentifierUnreadable, IdentifierVault, Sealed

MAX_NAME_CHARACTERS: Final = 100
MAX_CONTACT_CHARACTERS: Final = 200


class ComplainantUnknown(NotFound):
    """The complaint was made without a name."""

    code = "complaints.complainant_unknown"


@dataclass(frozen=True, slots=True, repr=False)
class Complainant:
    """A person who complained, and how to reach them. Either may be empty, not both."""

    name: str
    contact: str

    @property
    def masked(self) -> "Complainant":
        """As screens show it: the first character of the name, and little of the contact."""
        return Complainant(self.name[:1] + "*" * (len(self.name) - 1), masked(self.contact))

    def __repr__(self) -> str:
        """Show what a screen shows."""
        shown = self.masked
        return f"Complainant({shown.name}, {shown.contact})"


def clean_complainant(given: Complainant | None) -> Complainant | None:
    """Return a complainant with texts in their one form; None where both are empty. Raises: InvalidInput."""
    if given is None or not (given.name.strip() or given.contact.strip()):
        return None
    return Complainant(
        clean_text(given.name, "name", MAX_NAME_CHARACTERS) if given.name.strip() else "",
        clean_text(given.contact, "contact", MAX_CONTACT_CHARACTERS) if given.contact.strip() else "",
    )


def sealed_columns(vault: IdentifierVault, complaint_id: UUID, given: Complainant | None) -> dict[str, Any]:
    """Return the columns of a complainant under the newest key. Raises: IdentifierUnreadable."""
    if given is None:
        return {"key_id": None, "name_sealed": None, "contact_sealed": None}
    name = vault.seal(given.name, bound_to=_binding(complaint_id, "name"))
    contact = vault.seal(given.contact, bound_to=_binding(complaint_id, "contact"))
    if name.key_id != contact.key_id:  # a key was added between the two
        return sealed_columns(vault, complaint_id, given)
    return {"key_id": name.key_id, "name_sealed": name.data, "contact_sealed": contact.data}


def told_sealed(columns: dict[str, Any]) -> dict[str, str] | None:
    """Return what the log says of a complainant: no character, but what notices that the row was changed."""
    if columns["key_id"] is None:
        return None
    return {
        "key": columns["key_id"],
        "name": hashlib.sha256(columns["name_sealed"]).hexdigest(),
        "contact": hashlib.sha256(columns["contact_sealed"]).hexdigest(),
    }


def kept_sealed(columns: dict[str, Any]) -> dict[str, str] | None:
    """Return a complainant as it is sealed: what the row comes back from when the database is lost."""
    if columns["key_id"] is None:
        return None
    return {name: base64.b64encode(columns[f"{name}_sealed"]).decode() for name in ("name", "contact")}


def opened(vault: IdentifierVault, row: Complaint) -> Complainant | None:
    """Return who complained, to be masked before anybody sees it. Raises: IdentifierUnreadable."""
    if row.key_id is None or row.name_sealed is None or row.contact_sealed is None:
        return None
    return Complainant(
        vault.unseal(Sealed(row.key_id, row.name_sealed), bound_to=_binding(row.id, "name")),
        vault.unseal(Sealed(row.key_id, row.contact_sealed), bound_to=_binding(row.id, "contact")),
    )


def masked_complainant(vault: IdentifierVault, row: Complaint) -> Complainant | None:
    """Return who complained as a screen shows it; asterisks only where the key is not there."""
    try:
        found = opened(vault, row)
    except IdentifierUnreadable:
        return Complainant("***", "***")
    return None if found is None else found.masked


def show_complainant(
    database: Database, vault: IdentifierVault, complaint_id: ComplaintId, *, purpose: str, by: Caller, at: Instant
) -> Complainant:
    """Show one complainant whole to one person, for a purpose.

    Guarantees: on return the log entry that says so is committed.
    Raises: Forbidden, ComplaintNotFound, NamedInComplaint, ComplainantUnknown, InvalidInput, IdentifierUnreadable.
    """
    require(by.roles, Capability.HANDLE_COMPLAINTS)
    purpose = clean_text(purpose, "purpose", 500)
    with database.begin() as tx:
        row = complaint_to_handle(tx, complaint_id, by=by)
        shown = opened(vault, row)
        if shown is None:
            raise ComplainantUnknown
        detail = {"purpose": purpose, "kind": "complainant"}
        entry = NewEntry(EntryType.ACCESS_IDENTIFIER, by.actor, Target("complaint", complaint_id), detail=detail)
        record_access(tx, entry, at=at)
    return shown


def rekey_complainants(database: Database, vault: IdentifierVault, *, by: Actor, clock: Clock) -> int:
    """Put every complainant that is under an older key under the newest one; return how many there were.

    Each is a transaction with its own entry; what breaks off is gone on with by the next call.
    Raises: IdentifierUnreadable at the first one that cannot be opened.
    """
    newest, count = vault.key_ids[-1], 0
    with database.read() as tx:
        waiting = tx.scalars(select(Complaint.id).where(Complaint.key_id != newest)).all()
    for complaint_id in waiting:
        with database.begin() as tx:
            row = tx.scalar(select(Complaint).where(Complaint.id == complaint_id).with_for_update())
            if row is None or row.key_id == newest:
                continue
            values = sealed_columns(vault, complaint_id, opened(vault, row))
            tx.execute(update(Complaint).where(Complaint.id == complaint_id).values(**values))
            detail = {"complainant": told_sealed(values), "sealed": kept_sealed(values), "reason": "rekeyed"}
            entry = NewEntry(EntryType.COMPLAINT_UPDATED, by, Target("complaint", complaint_id), detail=detail)
            append_entry(tx, entry, at=clock.now())
        count += 1
    return count


def keys_of_complainants(tx: Session) -> Sequence[str]:
    """Return the ids of the keys that some complainant is under."""
    found = tx.scalars(select(Complaint.key_id).where(Complaint.key_id.is_not(None)).distinct())
    return [key for key in found if key is not None]


def _binding(complaint_id: UUID, what: str) -> str:
    """Return what a ciphertext is bound to, so that it cannot be moved to another complaint."""
    return f"liuhen complainant v1 {complaint_id} {what}"
