"""Renewals of a signature: each timestamp vouches for what is before it, as long as its own certificate lasts."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.kernel.findings import Outcome
from archive.kernel.instants import Instant
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner
from signing.renewals import (
    MANIFEST,
    SIGNATURE,
    Renewed,
    Signed,
    imprint_of,
    judge_signed,
    record_of,
    record_path,
    token_path,
)
from signing.tsa import EmbeddedTsa
from tests.unit.signing import pki

ID = "01936a1c-7c1e-7a55-8f6e-5d3c2b1a0f9e"
YEAR = timedelta(days=365)


class House:
    """An authority of its own whose clock is set, and what it signs and renews."""

    def __init__(self, folder: Path) -> None:
        self.clock = pki.StandingClock(pki.START)
        self.authority = EmbeddedAuthority.create(folder / "ca", organisation="局", valid_from=pki.START)
        self.tsa = EmbeddedTsa(self.authority, self.clock)

    def signed(self) -> Signed:
        key, certificate = self.authority.manifest_key(), self.authority.manifest_certificate
        signature = CadesSigner(key=key, certificate=certificate, clock=self.clock).sign_detached(pki.MANIFEST)
        return Signed(ID, pki.MANIFEST, signature)

    def renewed(self, signed: Signed, at: Instant) -> Signed:
        self.clock.at = at
        number, files = len(signed.renewals) + 1, {MANIFEST: signed.manifest, SIGNATURE: signed.signature}
        for each in signed.renewals:
            files |= {record_path(each.number): each.record, token_path(each.number): each.token}
        digests = {path: hashlib.sha512(data).hexdigest() for path, data in files.items()}
        record = record_of(ID, number, digests)
        made = Renewed(number, record, self.tsa.token(imprint_of(record)))
        return replace(signed, renewals=(*signed.renewals, made))

    def judged(self, signed: Signed, at: Instant) -> list[str]:
        roots = EmbeddedAuthority.load(self.authority.directory).root_pem
        report = judge_signed(signed, trust_roots_pem=roots, at=at)
        return sorted({found.code for found in report.findings if found.outcome is not Outcome.VALID})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def chain(house: House, years: Sequence[float]) -> Signed:
    """A signature of the first day that was renewed after these years; the root is extended before each."""
    signed = house.signed()
    for year in years:
        at = pki.START + year * YEAR
        if at + 11 * YEAR > house.authority.root.not_valid_after_utc:
            house.authority = house.authority.extend_root(at)
            house.tsa = EmbeddedTsa(house.authority, house.clock)
        signed = house.renewed(signed, at)
    return signed


def test_a_chain_of_renewals_holds_for_decades(house: House) -> None:
    signed = chain(house, [9, 18.3, 27.6])
    assert house.judged(signed, pki.START + 35 * YEAR) == []


def test_without_a_renewal_it_is_open_from_the_certificates_end_on(house: House) -> None:
    signed = house.signed()
    assert house.judged(signed, pki.START + 9 * YEAR) == []
    assert house.judged(signed, pki.START + 11 * YEAR) == ["signature.certificate_expired"]


def test_a_renewal_that_ended_vouches_for_nothing_any_more(house: House) -> None:
    signed = chain(house, [9])
    ends = house.tsa.prepare().not_valid_after_utc
    assert house.judged(signed, ends - timedelta(days=1)) == []
    house.authority.extend_root(pki.START + 10 * YEAR)
    assert house.judged(signed, ends + timedelta(days=1)) == ["renewal.ended"]


def test_a_renewal_after_the_certificates_end_proves_nothing(house: House) -> None:
    signed = house.renewed(house.signed(), pki.START + 10 * YEAR + timedelta(days=5))
    assert house.judged(signed, pki.START + 11 * YEAR) == ["signature.certificate_expired"]


def test_a_gap_between_two_renewals_is_told(house: House) -> None:
    signed = chain(house, [9])
    ends = house.tsa.prepare().not_valid_after_utc
    late = chain_on(house, signed, ends + timedelta(days=3))
    assert house.judged(late, ends + timedelta(days=9)) == ["renewal.ended"]


def chain_on(house: House, signed: Signed, at: Instant) -> Signed:
    house.authority = house.authority.extend_root(at)
    house.tsa = EmbeddedTsa(house.authority, house.clock)
    return house.renewed(signed, at)


@pytest.mark.parametrize(
    "changed",
    [
        lambda signed: replace(signed, object_id="01936a1c-7c1e-7a55-8f6e-5d3c2b1a0f00"),
        lambda signed: replace(signed, manifest=signed.manifest + b" "),
        lambda signed: replace(signed, renewals=signed.renewals[1:]),
        lambda signed: replace(signed, renewals=signed.renewals[::-1]),
        lambda signed: replace(signed, renewals=(replace(signed.renewals[0], record=b"{}"), *signed.renewals[1:])),
        lambda signed: replace(
            signed, renewals=(replace(signed.renewals[0], token=signed.renewals[1].token), *signed.renewals[1:])
        ),
        lambda signed: replace(signed, renewals=(*signed.renewals[:-1], replace(signed.renewals[-1], token=b""))),
    ],
    ids=["object", "manifest", "first gone", "order", "record", "token of another", "no token"],
)
def test_nothing_in_a_chain_can_be_changed(house: House, changed: object) -> None:
    signed = chain(house, [1, 2, 3])
    at = pki.START + 4 * YEAR
    assert house.judged(signed, at) == []
    assert set(house.judged(changed(signed), at)) & {"renewal.differs", "renewal.token_refused"}  # type: ignore[operator]


def test_under_another_root_it_is_not_established(house: House, tmp_path: Path) -> None:
    signed, other = chain(house, [1]), House(tmp_path / "other")
    report = judge_signed(signed, trust_roots_pem=other.authority.root_pem, at=pki.START + 2 * YEAR)
    assert report.outcome is not Outcome.VALID
    report = judge_signed(signed, trust_roots_pem=b"", at=pki.START + 2 * YEAR)
    assert [found.code for found in report.findings] == ["renewal.untrusted"]
    assert report.outcome is Outcome.INDETERMINATE


def test_the_extended_root_takes_the_place_of_the_one_before(house: House) -> None:
    before = house.authority.root
    extended = house.authority.extend_root(pki.START + 3 * YEAR)
    assert extended.root.not_valid_before_utc == before.not_valid_before_utc
    assert extended.root.not_valid_after_utc == before.not_valid_after_utc + 3 * YEAR
    assert extended.root.subject == before.subject
    assert list(EmbeddedAuthority.load(extended.directory).former_roots) == [before]
    again = extended.extend_root(pki.START + 8 * YEAR)
    assert list(again.former_roots) == [before, extended.root]


def test_a_renewed_key_of_manifests_takes_over_by_itself(house: House) -> None:
    from signing.renewed_signer import KeyInUse, RenewedSigner

    signer, first = RenewedSigner(KeyInUse(house.authority, house.clock)), house.authority.manifest_certificate
    assert not house.authority.renew_manifest_if_due(pki.START + 8 * YEAR, before=YEAR)
    house.clock.at = pki.START + 9 * YEAR + timedelta(days=9)
    assert signer.certificate == first
    assert house.authority.renew_manifest_if_due(house.clock.at, before=YEAR)
    assert not house.authority.renew_manifest_if_due(house.clock.at, before=YEAR)
    house.clock.at += timedelta(minutes=2)
    assert signer.certificate != first
    assert signer.certificate.not_valid_after_utc > first.not_valid_after_utc
    fresh = Signed(ID, pki.MANIFEST, signer.sign_detached(pki.MANIFEST))
    assert house.judged(fresh, house.clock.at) == []
