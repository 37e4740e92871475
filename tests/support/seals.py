"""A decision that an agency has sealed, filed by the real use cases, in an archive of a test."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from archive.cases.drafting import begin_record
from archive.cases.sealing import Seals, seal_record
from archive.db.sight import FIRST_UNIT
from archive.documents import templates
from archive.documents.faces import SONG
from archive.documents.form_context import FormContext
from archive.documents.setting import set_draft
from archive.documents.signers import SigningRoom
from archive.documents.templates import example_of
from archive.fsck.raw import as_uuid
from archive.kernel.ids import CaseId, ObjectId, parse_uuid
from archive.ledger.entries import OPERATOR
from archive.trust.certificates import NewCertificate
from archive.trust.requests import Wanted, change_register
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing.certificates import AGENCY_SEAL
from signing.document_keys import HeldKey
from signing.typefaces import Typeface
from tests.support.archive_home import ArchiveHome

ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})


def filed_decision(home: ArchiveHome) -> ObjectId:
    """Have a decision set, sealed and filed for the first case; return it."""
    services, at = home.services, home.clock.now()
    case_id = CaseId(parse_uuid(as_uuid(home.rows("SELECT id FROM case_file")[0][0])))
    key = ec.generate_private_key(ec.SECP256R1())
    made = services.authority.issue(AGENCY_SEAL, public_key=key.public_key(), valid_from=at)
    new = NewCertificate(made.public_bytes(Encoding.DER), KeyPurpose.SEAL, FIRST_UNIT, KeyPlace.FILE)
    change_register(services.database, Wanted("新制", new=new), rules=ALONE, by=OPERATOR, at=at)
    held = HeldKey(key, made, [services.authority.root])
    desk = replace(services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    room = SigningRoom(desk, services.clock, services.tsa.token, Typeface(SONG), lambda: held)
    text = (Path(templates.__file__).parent / "penalty_decision.toml").read_text("utf-8")
    draft_id = begin_record(
        services.database, text, case_id=case_id, title="行政处罚决定书", values=example_of("penalty_decision"),
        by=OPERATOR, at=at,
    )  # fmt: skip
    set_draft(desk, draft_id, revision=1, by=OPERATOR, at=home.clock.now())
    seal_record(Seals(room, lambda _: held), draft_id, "agency", by=OPERATOR)
    return services.records.file_record(draft_id)
