"""Our strict DER against asn1crypto, and against encodings that are BER only."""

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from signing import der


@given(st.binary(max_size=70_000))
def test_octet_strings_as_asn1crypto_writes_them(contents: bytes) -> None:
    written = der.element(der.OCTET_STRING, contents)
    assert written == core.OctetString(contents).dump()
    reader = der.Reader(written)
    assert reader.take(der.OCTET_STRING) == contents
    reader.end()


@given(st.integers(0, 2**200))
def test_integers_as_asn1crypto_writes_them(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=8))
def test_oids_as_asn1crypto_writes_them(first: int, second: int, others: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *others)))
    assert der.oid(dotted) == core.ObjectIdentifier(dotted).dump()


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_sets_as_asn1crypto_writes_them(values: list[bytes]) -> None:
    class Octets(core.SetOf):
        _child_spec = core.OctetString

    assert der.set_of(*(der.element(der.OCTET_STRING, each) for each in values)) == Octets(values).dump()


NOT_DER = {
    "nothing": "",
    "tag only": "04",
    "another tag": "0500",
    "indefinite length": "0480aa0000",
    "reserved length": "04ff",
    "long form for a short length": "048101aa",
    "leading zero in the length": "04820080" + "aa" * 128,
    "length cut off": "0482ff",
    "contents cut off": "0405aabb",
    "length beyond any file": "04850100000000",
}


@pytest.mark.parametrize("text", NOT_DER.values(), ids=NOT_DER.keys())
def test_what_is_not_der_is_refused(text: str) -> None:
    with pytest.raises(der.NotDer):
        der.Reader(bytes.fromhex(text)).take(der.OCTET_STRING)


def test_nothing_may_follow() -> None:
    reader = der.Reader(bytes.fromhex("040100" + "00"))
    reader.take(der.OCTET_STRING)
    with pytest.raises(der.NotDer):
        reader.end()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(contents: bytes) -> None:
    reader = der.Reader(contents)
    try:
        whole = reader.take_whole(contents[0] if contents else der.SEQUENCE)
    except der.NotDer:
        return
    assert der.element(whole[0], der.Reader(whole).take(whole[0])) == whole
