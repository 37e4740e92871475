"""The client of an outside timestamp authority, against OpenSSL's and against answers that nobody should believe."""

import hashlib
import ipaddress
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from archive.adapters.http_outbound import HttpOutbound
from archive.kernel.errors import LiuhenError
from archive.packages.verification.certificates import Certificate, Chains
from archive.packages.verification.timestamps import judge_timestamp
from signing.authority import EmbeddedAuthority
from signing.chains import BadTrustRoots
from signing.stamps import TokenRefused
from signing.timestamps import (
    OutsideTsa,
    TsaClocksDiffer,
    TsaRefuses,
    TsaUnreachable,
    TsaUntrusted,
    merged_issuers,
    root_digests,
)
from tests.support.outside_tsa import POLICY, OutsideAuthority, outside_authority

CONTENT = b"a checkpoint"
IMPRINT = hashlib.sha256(CONTENT).digest()


class MovedClock:
    """The machine's clock, moved."""

    by = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[OutsideAuthority]:
    with outside_authority(tmp_path) as running:
        yield running


Ask = Callable[..., OutsideTsa]


@pytest.fixture
def client(outside: OutsideAuthority, clock: MovedClock) -> Ask:
    def made(**given: object) -> OutsideTsa:
        outbound = HttpOutbound(networks=[ipaddress.ip_network("127.0.0.0/8")], ca=None, timeout_s=10.0)
        usual = {"issuers_pem": outside.root_path.read_bytes(), "policy": None}
        return OutsideTsa(outbound, str(given.pop("url", outside.url)), clock, **{**usual, **given})  # type: ignore[arg-type]

    return made


def judged(token: bytes, outside: OutsideAuthority, *, for_time: bool = True) -> str:
    root = Certificate.parse(outside.authority.root.public_bytes(Encoding.DER))
    pinned = frozenset({root.digest})
    chains = Chains([root], frozenset(), pinned) if for_time else Chains([root])
    return judge_timestamp(CONTENT, token, chains=chains)[0].code


@pytest.mark.parametrize("more", ["", "certs = {folder}/ca/root.cert.pem"])
def test_a_token_of_openssl_is_taken_and_valid_to_the_verifiers(
    client: Ask, outside: OutsideAuthority, tmp_path: Path, more: str
) -> None:
    outside.set_up(more=more.format(folder=tmp_path))
    token = client(policy=POLICY).token(IMPRINT)
    assert judged(token, outside) == "timestamp.valid"
    assert judged(token, outside, for_time=False) == "timestamp.untrusted"
    assert client().token(hashlib.sha512(CONTENT).digest()) != token


def test_queries_differ_in_their_nonce(client: Ask, outside: OutsideAuthority) -> None:
    for _ in range(2):
        client().token(IMPRINT)
    first, second = outside.queries
    assert first != second
    assert len(first) == len(second)


def test_a_refusal_is_told(client: Ask, outside: OutsideAuthority) -> None:
    outside.set_up(digests="sha512")
    with pytest.raises(TsaRefuses) as refused:
        client().token(IMPRINT)
    assert refused.value.facts == {"status": 2}
    assert refused.value.retryable
    outside.set_up()
    with pytest.raises(TsaRefuses):
        client(policy="1.2.3.4.5").token(IMPRINT)


def test_an_answer_to_another_request_is_refused(client: Ask, outside: OutsideAuthority) -> None:
    kept: list[bytes] = []
    outside.after = lambda reply: kept.append(reply) or kept[0]  # type: ignore[func-returns-value]
    client().token(IMPRINT)
    with pytest.raises(TokenRefused, match="another request"):
        client().token(IMPRINT)
    with pytest.raises(TokenRefused, match="other bytes"):
        client().token(hashlib.sha256(b"another").digest())


def test_an_imprint_that_was_exchanged_on_the_way_is_found(client: Ask, outside: OutsideAuthority) -> None:
    outside.before = lambda query: query.replace(IMPRINT, bytes(32))
    with pytest.raises(TokenRefused, match="other bytes"):
        client().token(IMPRINT)


def test_a_policy_that_was_not_asked_for_is_refused(client: Ask, outside: OutsideAuthority) -> None:
    from signing import der

    asked, given = der.oid("1.3.6.1.4.1.59999.2"), der.oid(POLICY)
    outside.before = lambda query: query.replace(asked, given)
    with pytest.raises(TokenRefused, match="another policy"):
        client(policy="1.3.6.1.4.1.59999.2").token(IMPRINT)


def test_an_authority_that_is_not_the_one_set_is_refused(client: Ask, tmp_path: Path) -> None:
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="Time Co.", valid_from=datetime.now(UTC))
    with pytest.raises(TsaUntrusted):
        client(issuers_pem=other.root_pem).token(IMPRINT)
    with pytest.raises(BadTrustRoots):
        client(issuers_pem=b"no certificate")


def test_certificates_that_were_not_set_are_not_taken(client: Ask, outside: OutsideAuthority, tmp_path: Path) -> None:
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="x", valid_from=datetime.now(UTC))
    outside.set_up(more=f"certs = {other.root_path}")
    with pytest.raises(LiuhenError) as refused:
        client().token(IMPRINT)
    assert refused.value.code in {"timestamp.authority_untrusted", "timestamp.authority_refuses"}


@pytest.mark.parametrize("by", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_clocks_that_differ_are_told(client: Ask, clock: MovedClock, by: timedelta) -> None:
    clock.by = by
    with pytest.raises(TsaClocksDiffer):
        client().token(IMPRINT)
    clock.by = by * 0.5
    client().token(IMPRINT)


def test_answers_that_are_none(client: Ask, outside: OutsideAuthority) -> None:
    for after in (
        lambda _: b"",
        lambda _: b"<html>Please pay</html>",
        lambda reply: reply[:-1],
        lambda reply: reply + b"\0",
        lambda reply: reply[:9],
        lambda _: b"\x30\x03\x02\x01\x00",
        lambda _: b"\x30\x05\x30\x03\x02\x01\x00",
    ):
        outside.after = after
        with pytest.raises(TokenRefused):
            client().token(IMPRINT)
    outside.after, outside.status = bytes, 500
    with pytest.raises(TsaUnreachable):
        client().token(IMPRINT)
    with pytest.raises(TsaUnreachable):
        client(url="http://127.0.0.1:1/").token(IMPRINT)
    with pytest.raises(TsaUnreachable):
        client(url="ftp://127.0.0.1/").token(IMPRINT)


def test_no_flipped_byte_of_an_answer_is_taken(client: Ask, outside: OutsideAuthority) -> None:
    def flip(at: int) -> Callable[[bytes], bytes]:
        return lambda reply: (
            reply[: at % len(reply)] + bytes([reply[at % len(reply)] ^ 4]) + reply[at % len(reply) + 1 :]
        )

    for at in range(0, 1500, 31):
        outside.after = flip(at)
        with pytest.raises(LiuhenError):
            client().token(IMPRINT)


def test_issuers_are_kept_once_and_only_roots_are_pinned(outside: OutsideAuthority, tmp_path: Path) -> None:
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="x", valid_from=datetime.now(UTC))
    one, two = outside.root_path.read_bytes(), other.root_pem
    merged = merged_issuers(one, two, one + two)
    assert merged.startswith(one)
    assert merged.count(b"BEGIN CERTIFICATE") == 2
    assert merged_issuers(one, merged, two) == merged
    assert len(root_digests(merged)) == 2
    with_signer = merged + other.manifest_certificate.public_bytes(Encoding.PEM)
    assert list(root_digests(with_signer)) == list(root_digests(merged))
    assert root_digests(b"") == []
