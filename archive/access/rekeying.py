"""Giving the secrets of authenticators a new key, beside the numbers of subjects (`archive.cases.rekeying`)."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from archive.access.models import TotpSecret
from archive.access.second_factors import bound_to
from archive.db.database import Database
from archive.ledger.append import append_entry
from archive.ledger.entries import Actor, EntryType, NewEntry, Target
from archive.ports.clock import Clock
from archive.ports.identifiers import IdentifierVault, Sealed


def rekey_second_factors(database: Database, vault: IdentifierVault, *, by: Actor, clock: Clock) -> int:
    """Put every secret that is under an older key under the newest one; return how many there were.

    Each is a transaction with its own entry; what breaks off is gone on with by the next call.
    Raises: IdentifierUnreadable at the first one that cannot be opened.
    """
    newest = vault.key_ids[-1]
    with database.read() as tx:
        waiting = tx.scalars(select(TotpSecret.account_id).where(TotpSecret.key_id != newest)).all()
    count = 0
    for account_id in waiting:
        with database.begin() as tx:
            row = tx.scalar(select(TotpSecret).where(TotpSecret.account_id == account_id).with_for_update())
            if row is None or row.key_id == newest:
                continue
            secret = vault.unseal(Sealed(row.key_id, row.sealed), bound_to=bound_to(account_id))
            sealed = vault.seal(secret, bound_to=bound_to(account_id))
            values = {"key_id": sealed.key_id, "sealed": sealed.data}
            tx.execute(update(TotpSecret).where(TotpSecret.account_id == account_id).values(**values))
            detail = {"factor": "totp", "reason": "rekeyed"}
            entry = NewEntry(EntryType.ADMIN_FACTOR_SET, by, Target("account", account_id), detail=detail)
            append_entry(tx, entry, at=clock.now())
            count += 1
    return count


def keys_of_second_factors(tx: Session) -> Sequence[str]:
    """Return the ids of the keys that some authenticator's secret is under."""
    return tx.scalars(select(TotpSecret.key_id).distinct()).all()
