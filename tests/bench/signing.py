"""Signatures of documents: PAdES B-B beside pyHanko's SimpleSigner as one would call it, and the cost of what we add."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko_certvalidator.registry import SimpleCertificateStore

from archive.documents.faces import SONG
from archive.documents.typesetting import Typesetter
from archive.kernel.clock import SystemClock
from signing.appearances import officer_appearance
from signing.document_fields import Box, SignatureField, prepare
from signing.document_keys import HeldKey
from signing.pades import DocumentSigner, Statement
from signing.seals import SEAL_POINTS, round_seal
from signing.typefaces import Typeface
from tests.bench.archive import settle
from tests.bench.report import Row, Samples, Section, target_row
from tests.unit.signing import pki

NAME = "signing"
RUNS = 7
_AT_ONCE: Final = {"P-256": 40, "RSA-3072": 12}
_TARGETS: Final = {"P-256": 1.5, "RSA-3072": 10.0}
_BATCH: Final = 200


def measure(scratch: Path, *, runs: int = RUNS) -> Section:
    """Measure both signers in turns over one prepared document, for each kind of key."""
    del scratch  # all of it happens in memory
    pdf = prepared()
    made: dict[str, Mapping[str, Samples]] = {}
    for kind, key in (
        ("P-256", ec.generate_private_key(ec.SECP256R1())),
        ("RSA-3072", rsa.generate_private_key(65537, 3072)),
    ):
        made[kind] = _in_turns(_sides(pdf, key), count=_AT_ONCE[kind], runs=runs)
    held = _held(ec.generate_private_key(ec.SECP256R1()))
    shown = _in_turns(_with_appearances(pdf, held), count=20, runs=runs)
    batch = _in_turns({"batch": lambda: _signer(held).sign(pdf, "seal")}, count=_BATCH, runs=1)["batch"]
    rows: list[Row] = []
    for kind, sides in made.items():
        ours, theirs = sides["ours"], sides["theirs"]
        rows.append(Row(f"{kind}: pyHanko's SimpleSigner", theirs.shown("ms", digits=1)))
        ratio = theirs.median / ours.median
        rows.append(
            target_row(f"{kind}: ours, as often faster", ours.shown("ms", digits=2), ratio=ratio, least=_TARGETS[kind])
        )
    rows += [Row(f"P-256: ours, {what}", samples.shown("ms", digits=2)) for what, samples in shown.items()]
    one = made["P-256"]["ours"].median
    rows.append(
        target_row(f"P-256: each of {_BATCH} in a batch", batch.shown("ms"), ratio=batch.median / one, most=1.5)
    )
    return Section(
        name=NAME,
        title="Signing documents",
        text=(
            f"One page of {len(pdf) / 1000:.0f} KB from Typst, PDF/A-2b, with empty fields for signatures. One signature at the "
            "level B-B fills a field and certifies the document; milliseconds for each, over a fresh copy in memory. Theirs is "
            "`signers.sign_pdf` with a `SimpleSigner` and a fresh `IncrementalPdfFileWriter`. Ours checks each signature against "
            "its certificate before it goes in."
        ),
        rows=tuple(rows),
        runs=runs,
        samples={
            **{f"{kind} {side}": samples.values for kind, sides in made.items() for side, samples in sides.items()},
            **{what: samples.values for what, samples in shown.items()},
        },
    )


def prepared() -> bytes:
    """Return a document with fields for an officer, a seal, and one without a picture."""
    found = {
        "name": "a.mp4",
        "class": "x",
        "size": 3,
        "method": "m",
        "received": "t",
        "path": "p",
        "sha256": "ab" * 32,
        "sha512": "cd" * 64,
    }
    data = {
        "case": {"number": "昆市监罚〔2026〕1号", "title": "无证经营案", "subject": {"name": "某某店"}},
        "organisation": "局", "made": "t", "made_by": "i", "package": "x", "origin": "a/log", "checkpoint": {"size": 12},
        "objects": [found],
    }  # fmt: skip
    blank = Typesetter("list").set_pdf(data, at=pki.START)
    boxes = {
        "officer": Box(0, 60, 60, 210, 110),
        "shown": Box(0, 300, 60, 300 + SEAL_POINTS, 60 + SEAL_POINTS),
        "seal": None,
    }
    return prepare(blank, signatures=[SignatureField(name, box) for name, box in boxes.items()])


def _held(key: pki.PrivateKey) -> HeldKey:
    start = SystemClock().now() - timedelta(hours=1)
    usage = [pki.key_usage(digital_signature=True, content_commitment=True)]
    return HeldKey(key, pki.certificate("signer", key=key, extensions=usage, valid_from=start))


def _signer(held: HeldKey) -> DocumentSigner:
    return DocumentSigner(held, SystemClock())


def _sides(pdf: bytes, key: pki.PrivateKey) -> Mapping[str, Callable[[], object]]:
    held = _held(key)
    private = asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    certificate = asn1_x509.Certificate.load(held.certificate)
    simple = signers.SimpleSigner(signing_cert=certificate, signing_key=private, cert_registry=SimpleCertificateStore())
    metadata = signers.PdfSignatureMetadata(
        field_name="seal", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES, certify=True
    )
    own = _signer(held)

    def theirs() -> Any:
        return signers.sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), metadata, signer=simple)

    return {"theirs": theirs, "ours": lambda: own.sign(pdf, "seal")}


def _with_appearances(pdf: bytes, held: HeldKey) -> Mapping[str, Callable[[], object]]:
    face, own = Typeface(SONG), _signer(held)
    seal = round_seal(face, name="昆明市市场监督管理局", line="行政执法专用章")

    def officer() -> bytes:
        at = SystemClock().now()
        shown = officer_appearance(face, name="张三", certificate_number="YN0120260017", at=at, width=150, height=50)
        return own.sign(pdf, "officer", Statement(appearance=shown))

    return {
        "with the officer's name in an embedded font": officer,
        "with the seal": lambda: own.sign(pdf, "shown", Statement(appearance=seal)),
    }


def _in_turns(sides: Mapping[str, Callable[[], object]], *, count: int, runs: int) -> Mapping[str, Samples]:
    """Return milliseconds for each call; the sides take turns, and each is tried once before."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for make in sides.values():
        make()
    for _ in range(runs):
        for name, make in sides.items():
            settle()
            taken[name].append(_timed(make, count))
    return {name: Samples(tuple(values)) for name, values in taken.items()}


def _timed(make: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        make()
    return (time.perf_counter() - began) / count * 1000
