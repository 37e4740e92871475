"""Bytes that are no sound PDF, or more than one: each gets a verdict, none is valid, nothing hangs."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.crypt import StandardSecurityHandler
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from archive.kernel.findings import Outcome
from signing.validation.containers import judge_container
from tests.support import pdf_bytes
from tests.support.signed_pdfs import CHECKED_AT, World
from tests.unit.signing.validation.test_documents import bad


def encrypted(plain: bytes, user_password: str) -> bytes:
    writer = copy_into_new_writer(PdfFileReader(BytesIO(plain)))
    handler = StandardSecurityHandler.build_from_pw("owner", user_password, pdf_mac=False)
    writer.security_handler = handler
    writer._assign_security_handler(handler)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_password_is_asked_for(world: World, plain: bytes) -> None:
    verdict = world.judge(encrypted(plain, "secret"))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"document.encrypted"})


def test_an_empty_password_is_no_password(world: World, plain: bytes) -> None:
    verdict = world.judge(encrypted(plain, ""))
    assert (verdict.outcome, bad(verdict)) == (Outcome.INDETERMINATE, {"document.unsigned"})


def deep_arrays(plain: bytes) -> bytes:
    return pdf_bytes.plain(catalog=b"/Deep " + b"[" * 100_000 + b"]" * 100_000)


def deep_dictionaries(plain: bytes) -> bytes:
    return pdf_bytes.plain(catalog=b"/AcroForm " + b"<< /A " * 20_000 + b"0" + b" >>" * 20_000)


def kids_in_a_circle(plain: bytes) -> bytes:
    return pdf_bytes.plain({6: b"<< /FT /Sig /T (a) /Kids [6 0 R] >>"}, catalog=b"/AcroForm << /Fields [6 0 R] >>")


def pages_in_a_circle(plain: bytes) -> bytes:
    return pdf_bytes.plain({2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"})


def tables_in_a_circle(plain: bytes) -> bytes:
    at = plain.rindex(b"xref\n0 1")
    return plain.replace(b"/ID [", b"/Prev %d /ID [" % at)


def table_beyond_the_end(plain: bytes) -> bytes:
    head, _, _ = plain.rpartition(b"startxref")
    return head + b"startxref\n999999999\n%%EOF\n"


def reference_to_itself(plain: bytes) -> bytes:
    return pdf_bytes.plain({4: b"4 0 R"}, catalog=b"/AcroForm 4 0 R")


def packed_bomb(plain: bytes) -> bytes:
    """An object stream that unpacks to 600 MB."""
    blown = zlib.compressobj(9)
    block = b" " * (1 << 20)
    packed = b"".join(blown.compress(block) for _ in range(600)) + blown.flush()
    packed = zlib.compress(packed, 9)
    bomb = b"<< /Type /ObjStm /N 1 /First 5 /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n" % len(packed)
    out = bytearray(b"%PDF-1.7\n")
    places = [len(out)]
    out += b"1 0 obj\n" + bomb + packed + b"\nendstream\nendobj\n"
    places.append(len(out))
    entries = (
        struct.pack(">BIB", 0, 0, 255) + struct.pack(">BIB", 1, places[0], 0) + struct.pack(">BIB", 1, places[1], 0)
    )
    entries += struct.pack(">BIB", 2, 1, 0)
    table = zlib.compress(entries)
    out += b"2 0 obj\n<< /Type /XRef /W [1 4 1] /Size 4 /Root 3 0 R /Filter /FlateDecode /Length %d >>\nstream\n" % len(
        table
    )
    out += table + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % places[1]
    return bytes(out)


def no_bytes(plain: bytes) -> bytes:
    return b""


def picture(plain: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0" * 500


def many_fields(plain: bytes) -> bytes:
    fields = b" ".join(b"<< /FT /Tx /T (f%d) >>" % number for number in range(12_000))
    return pdf_bytes.plain(catalog=b"/AcroForm << /Fields [" + fields + b"] >>")


@pytest.mark.parametrize(
    "make",
    [
        deep_arrays,
        deep_dictionaries,
        kids_in_a_circle,
        pages_in_a_circle,
        tables_in_a_circle,
        table_beyond_the_end,
        reference_to_itself,
        packed_bomb,
        no_bytes,
        picture,
        many_fields,
    ],
    ids=lambda each: each.__name__,
)
def test_whatever_it_is_there_is_a_verdict(world: World, plain: bytes, make: Callable[[bytes], bytes]) -> None:
    made = make(plain)
    verdict = world.judge(made)
    assert verdict.outcome is not Outcome.VALID
    assert bad(verdict)
    after = world.judge(pdf_bytes.append(made, {99: b"null"}) if b"/Root" in made else made)
    assert after.outcome is not Outcome.VALID


def test_revisions_without_end(world: World, signed: bytes) -> None:
    grown = signed
    for _ in range(5):
        grown = pdf_bytes.append(grown, {99: b"null"})
    assert "document.too_large" not in world.judge(grown).codes
    _, _, revision = grown.rpartition(b"99 0 obj")
    verdict = world.judge(grown + 1000 * (b"99 0 obj" + revision))
    assert (verdict.outcome, "document.too_large" in bad(verdict)) == (Outcome.INDETERMINATE, True)


@given(data=st.data())
@settings(max_examples=80)
def test_damaged_anywhere_it_is_never_valid_and_never_breaks(world: World, signed: bytes, data: st.DataObject) -> None:
    changed = bytearray(signed)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(signed) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=12))
        if data.draw(st.booleans()):
            changed[at : at + len(piece)] = piece
        else:
            changed[at:at] = piece
    if bytes(changed) != signed:
        assert world.judge(bytes(changed)).outcome is not Outcome.VALID


@given(junk=st.binary(max_size=400))
def test_a_container_of_junk_is_malformed(world: World, junk: bytes) -> None:
    verdict = judge_container(b"content", junk, trust=world.trust, at=CHECKED_AT)
    assert (verdict.outcome, verdict.codes) == (Outcome.INVALID, frozenset({"signature.malformed"}))
