"""The organisation of a bulk archive, written down by the real use cases: units, officers, docks, people."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archive.access.accounts import create_account
from archive.access.policy import Role
from archive.db.sight import EVERYBODYS, FIRST_UNIT, party_of
from archive.kernel.ids import OfficerId, UnitId
from archive.ledger.entries import OPERATOR
from archive.organisation.officers import OfficerFacts, record_officer
from archive.organisation.units import name_first_agency, record_unit
from archive.wiring import Services
from ingest.docks import enrol_dock, invite_dock
from signing.ed25519 import Ed25519KeyHandle
from tests.support.bulk import words

PASSWORD: Final = "correct horse battery staple"
AGENCY: Final = "官渡区综合行政执法局"
BRIGADES: Final = 4
SQUADS: Final = 24
OFFICERS_OF_SQUAD: Final = 25
WATCHED: Final = 2
"""The squad whose supervisor looks: it has about a twelfth of everything."""


@dataclass(frozen=True, slots=True)
class Officer:
    """An officer with the camera that the officer wears."""

    id: str
    party: int
    number: str
    serial: str


@dataclass(frozen=True, slots=True)
class Squad:
    """A unit with its people. `line` are the parties that see what it has; ids are 32 characters."""

    id: str
    line: Sequence[int]
    officers: Sequence[Officer]
    handler: str
    dock: str
    dock_credential: str


@dataclass(frozen=True, slots=True)
class Office:
    """All squads, the officer with few cases, who watches one squad, and that dock's keys."""

    squads: Sequence[Squad]
    quiet: Officer
    people: Mapping[str, str]
    """Account ids by user name."""
    api_key: str
    """Of the watched squad's dock."""
    dock_key: Ed25519PrivateKey


def make_office(services: Services, *, officers_of_squad: int = OFFICERS_OF_SQUAD) -> Office:
    """Write the organisation down and take its entries into the log."""
    chance = random.Random(20)
    database, at = services.database, services.clock.now()
    name_first_agency(database, AGENCY, at=at)
    people: dict[str, str] = {}

    def account(username: str, role: Role, unit: UUID, officer_id: OfficerId | None = None) -> str:
        made = create_account(
            database, username=username, display_name=words.person(chance), roles=[role], password=PASSWORD,
            unit_id=UnitId(unit), officer_id=officer_id, by=OPERATOR, at=at,
        )  # fmt: skip
        people[username] = made.hex
        return made.hex

    brigades = [
        record_unit(database, parent_id=UnitId(FIRST_UNIT), code=f"b{n}", name=f"第{n + 1}大队", by=OPERATOR, at=at)
        for n in range(BRIGADES)
    ]
    handlers = [account(f"handler{n}", Role.CASE_HANDLER, above) for n, above in enumerate(brigades)]
    squads: list[Squad] = []
    quiet: Officer | None = None
    api_key, dock_key = "", Ed25519PrivateKey.generate()
    for n in range(SQUADS):
        above = brigades[n % BRIGADES]
        unit_id = record_unit(database, parent_id=above, code=f"s{n}", name=f"第{n + 1}中队", by=OPERATOR, at=at)
        officers = [_officer(services, chance, n, m) for m in range(officers_of_squad)]
        key = dock_key if n == WATCHED else Ed25519PrivateKey.generate()
        code = invite_dock(database, name=f"第{n + 1}中队采集站", unit_id=unit_id, by=OPERATOR, at=at)
        enrolment = enrol_dock(database, code=code, public_key=Ed25519KeyHandle(key).public_bytes, at=at)
        if n == WATCHED:
            api_key, quiet = enrolment.api_key, officers[-1]
            account("supervisor", Role.SUPERVISOR, unit_id)
            account("officer", Role.OFFICER, unit_id, OfficerId(UUID(quiet.id)))
        line = [party_of(unit_id), party_of(above), party_of(FIRST_UNIT), EVERYBODYS]
        prefix = enrolment.api_key.split("_")[1]
        handler = handlers[n % BRIGADES]
        squads.append(Squad(unit_id.hex, line, officers, handler, enrolment.dock_id.hex, f"key:{prefix}"))
    account("auditor", Role.AUDITOR, FIRST_UNIT)
    assert quiet is not None
    while services.sequencer.sequence():
        continue
    return Office(squads, quiet, people, api_key, dock_key)


def _officer(services: Services, chance: random.Random, squad: int, number: int) -> Officer:
    certificate = f"2053{squad:02d}{number:04d}"
    facts = OfficerFacts(
        certificate_number=certificate, name=words.person(chance), agency=AGENCY, unit=f"s{squad}", area="官渡区",
        categories=["市容环境卫生", "市政公用"],
    )  # fmt: skip
    made = record_officer(services.database, facts, by=OPERATOR, at=services.clock.now())
    return Officer(made.hex, party_of(made), certificate, f"BWC-{squad:02d}{number:02d}")
