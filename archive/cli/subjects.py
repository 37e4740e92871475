"""For operators: finding subjects, and giving their numbers a new key."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from archive.access.rekeying import keys_of_second_factors, rekey_second_factors
from archive.cases.rekeying import rekey_identifiers, used_keys
from archive.cases.subject_listings import subjects
from archive.cli.options import Home, opened
from archive.cli.processes import alone
from archive.complaints.complainants import keys_of_complainants, rekey_complainants
from archive.ledger.entries import OPERATOR
from archive.organisation.photos import keys_of_photos, rekey_photos


def register(app: typer.Typer) -> None:
    """Add the commands about subjects."""
    subject = typer.Typer(help="Subjects (执法对象): persons and organisations.", no_args_is_help=True)
    subject.command("find")(find)
    subject.command("rekey")(rekey)
    app.add_typer(subject, name="subject")


def find(
    words: Annotated[str, typer.Argument(help="Part of the name; nothing for all.")] = "", home: Home = None
) -> None:
    """List subjects with their ids, newest first; numbers are masked."""
    with opened(home) as services, services.database.read() as tx:
        cursor: str | None = None
        while True:
            page = subjects(tx, services.identifiers, cursor=cursor, limit=200, words=words)
            for row in page.rows:
                numbers = " ".join(number.text or "?" for number in row.identifiers)
                print(f"{row.subject.id}  {row.subject.kind:12}  {row.case_count:>5}  {row.subject.name}  {numbers}")
            cursor = page.next_cursor
            if cursor is None:
                return


def rekey(
    forget: Annotated[bool, typer.Option(help="Remove the older keys afterwards; backups need them.")] = False,
    home: Home = None,
) -> None:
    """Make a new key, and put every number, authenticator and portrait under it; what breaks off is gone on with."""
    with opened(home) as services, alone(services.settings.home, "rekey"):
        vault = services.identifiers
        with services.database.read() as tx:
            is_unfinished = len(vault.key_ids) > 1 and _used(tx) - {vault.key_ids[-1]} != set()
        if not is_unfinished:
            vault.add_key()
        count = rekey_identifiers(services.database, vault, by=OPERATOR, clock=services.clock)
        count += rekey_complainants(services.database, vault, by=OPERATOR, clock=services.clock)
        factors = rekey_second_factors(services.database, vault, by=OPERATOR, clock=services.clock)
        photos = rekey_photos(services.database, vault, by=OPERATOR, clock=services.clock)
        print(f"Portraits put under the key {vault.key_ids[-1]}: {photos}")
        print(f"Authenticators put under the key {vault.key_ids[-1]}: {factors}")
        print(f"Numbers put under the key {vault.key_ids[-1]}: {count}")
        if forget:
            with services.database.read() as tx:
                gone = vault.forget_keys(but=_used(tx))
            print(f"Older keys removed: {len(gone)}")


def _used(tx: Session) -> set[str]:
    return {*used_keys(tx), *keys_of_second_factors(tx), *keys_of_complainants(tx), *keys_of_photos(tx)}
