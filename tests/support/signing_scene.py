"""A decision that a bureau has set, sealed, filed, signed a second time with SM2, and extended; and trust lists on disk."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from archive.cases.drafting import begin_record
from archive.cases.sealing import Seals, seal_record
from archive.db.sight import FIRST_UNIT
from archive.documents import templates
from archive.documents.drafts import draft, values_of
from archive.documents.faces import SONG
from archive.documents.form_context import FormContext
from archive.documents.record_setting import record_code
from archive.documents.setting import set_draft
from archive.documents.signers import SigningRoom
from archive.documents.template_texts import template_of
from archive.documents.templates import example_of
from archive.documents.values import as_values
from archive.kernel.ids import DraftId, ObjectId
from archive.ledger.entries import ARCHIVE, OPERATOR
from archive.trust.certificates import NewCertificate
from archive.trust.requests import Wanted, change_register
from archive.trust.rules import TrustRules
from archive.trust.terms import KeyPlace, KeyPurpose
from signing import subjects
from signing.certificates import AGENCY_SEAL
from signing.document_keys import HeldKey
from signing.key_wrap import FileKeyWrapper
from signing.secret_file import secret_from_file
from signing.sm2 import Sm2Key
from signing.typefaces import Typeface
from tests.support.seed import Bureau

_ALONE = replace(TrustRules.load(), second_person={act: frozenset() for act in TrustRules.load().second_person})
_TITLE = "行政处罚决定书"


def trust_folder(folder: Path) -> Path:
    """Write a trust list with two authorities, and one with a mistake in it; return the folder of both."""
    good, torn = folder / "province-2026", folder / "city-2025"
    good.mkdir(parents=True)
    torn.mkdir()
    entries = []
    for name, title, years, use in (
        ("people", "省级执法人员证书机构", 10, '["people", "agencies"]'),
        ("time", "省级时间戳机构", 1, '["timestamps"]'),
    ):
        (good / f"{name}.pem").write_bytes(_root(title, years=years).public_bytes(Encoding.PEM))
        entries.append(
            f'[[trusted]]\nname = "{title}"\nfor = {use}\nfrom = 2026-01-01T00:00:00Z\n'
            f'source = "2026年1月2日当面交接，已核对指纹"\ncertificate = "{name}.pem"\n'
        )
    (good / "trust.toml").write_text("version = 1\ndated = 2026-01-02\n" + "".join(entries), "utf-8")
    (torn / "trust.toml").write_text(
        'version = 1\n\n[[trusted]]\nname = "市级证书机构"\nfor = ["everybody"]\n', "utf-8"
    )
    return folder


def _root(title: str, *, years: int) -> x509.Certificate:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    since = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(since)
    builder = builder.not_valid_after(since + timedelta(days=366 * years))
    return builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())


def decision_of_scene(bureau: Bureau) -> ObjectId:
    """Have the decision filed, once; return it."""
    if (known := bureau.records.get("decision")) is not None:
        return known
    services, at = bureau.services, bureau.now()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = subjects.agency(services.settings.organisation, name=services.settings.organisation)
    made = services.authority.issue(AGENCY_SEAL, public_key=key.public_key(), valid_from=at, subject=subject)
    new = NewCertificate(made.public_bytes(Encoding.DER), KeyPurpose.SEAL, FIRST_UNIT, KeyPlace.FILE)
    change_register(services.database, Wanted("新制", new=new), rules=_ALONE, by=OPERATOR, at=at)
    held = HeldKey(key, made, [services.authority.root])
    desk = replace(services.records.desk, context=lambda *_: FormContext(date(2026, 11, 30)))
    room = SigningRoom(desk, services.clock, services.tsa.token, Typeface(SONG), lambda: held)
    text = (Path(templates.__file__).parent / "penalty_decision.toml").read_text("utf-8")
    draft_id = begin_record(
        services.database, text, case_id=bureau.cases["main"], title=_TITLE, values=example_of("penalty_decision"),
        by=OPERATOR, at=at,
    )  # fmt: skip
    set_draft(desk, draft_id, revision=1, by=OPERATOR, at=bureau.now())
    seal_record(Seals(room, lambda _: held), draft_id, "agency", by=OPERATOR)
    keys = services.settings.home.absolute() / "keys"
    secret_from_file(keys / "sm2.kek")
    second = Sm2Key.generate(keys / "sm2.json", wrapper=FileKeyWrapper(keys / "sm2.kek"))
    object.__setattr__(services, "known_second", (second.public.fingerprint,))
    object_id = replace(services.records, second=second).file_record(draft_id)
    services.renewals.long_term.extend_record(object_id, by=ARCHIVE)
    bureau.records["decision"] = object_id
    return object_id


def pdf_of_scene(bureau: Bureau) -> bytes:
    """Return the bytes of the decision as it was filed."""
    object_id = decision_of_scene(bureau)
    with bureau.services.objects.open_file(object_id, f"original/{_TITLE}.pdf") as file:
        return file.read()


def code_of_scene(bureau: Bureau) -> str:
    """Return what the code on the decision's paper says."""
    with bureau.services.database.read() as tx:
        row = draft(tx, DraftId(decision_of_scene(bureau)))
        template = template_of(tx, row)
        return record_code(template, as_values(template, values_of(row)))
