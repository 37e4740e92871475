"""The embedded timestamp authority: judged by OpenSSL and by the verifiers, tried with clocks, threads and processes."""

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ExtendedKeyUsage, load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.findings import Outcome
from archive.packages.verification.certificates import Certificate, Chains
from archive.packages.verification.timestamps import judge_timestamp
from signing.authority import AuthorityBroken, EmbeddedAuthority
from signing.keyfiles import KeyExposed, KeyUnreadable
from signing.tokens import BadImprint, read_info, take_apart
from signing.tsa import RENEW_BEFORE, EmbeddedTsa, TsaClockWentBack, TsaNotValid
from tests.integration.signing.conftest import Openssl
from tests.unit.signing import pki

CONTENT = "时间".encode()
IMPRINT = hashlib.sha256(CONTENT).digest()


@pytest.fixture
def clock() -> pki.StandingClock:
    return pki.StandingClock()


@pytest.fixture
def tsa(tmp_path: Path, clock: pki.StandingClock) -> EmbeddedTsa:
    authority = EmbeddedAuthority.create(tmp_path / "ca", organisation="昆明市某局", valid_from=pki.START)
    return EmbeddedTsa(authority, clock)


def chains(tsa: EmbeddedTsa) -> Chains:
    root = Certificate.parse(tsa.authority.root.public_bytes(Encoding.DER))
    return Chains([root], frozenset({root.digest}))


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_openssl_and_the_verifiers_accept_a_token(
    tsa: EmbeddedTsa, openssl: Openssl, tmp_path: Path, name: str
) -> None:
    token = tsa.token(hashlib.new(name, CONTENT).digest())
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "token").write_bytes(token)
    arguments = ("ts", "-verify", "-token_in", "-in", tmp_path / "token", "-CAfile", tsa.authority.root_path)
    at = ("-attime", str(int(pki.SIGNED_AT.timestamp())))
    done = openssl(*arguments, "-data", tmp_path / "content", *at)
    assert done.returncode == 0, done.stderr
    assert b"Verification: OK" in done.stdout + done.stderr
    (tmp_path / "content").write_bytes(CONTENT + b".")
    assert openssl(*arguments, "-data", tmp_path / "content", *at).returncode != 0
    verdict, when = judge_timestamp(CONTENT, token, chains=chains(tsa))
    assert (verdict.code, verdict.outcome) == ("timestamp.valid", Outcome.VALID)
    assert when == pki.SIGNED_AT.replace(microsecond=0)
    assert judge_timestamp(CONTENT + b".", token, chains=chains(tsa))[0].code == "timestamp.invalid"


def test_every_flipped_bit_of_a_token_is_found(tsa: EmbeddedTsa) -> None:
    token, judges = tsa.token(IMPRINT), chains(tsa)
    for at in range(len(token)):
        for bit in (0, 7):
            altered = bytearray(token)
            altered[at] ^= 1 << bit
            verdict, _ = judge_timestamp(CONTENT, bytes(altered), chains=judges)
            assert verdict.outcome is not Outcome.VALID, at
    assert judge_timestamp(CONTENT, token + b"\0", chains=judges)[0].outcome is Outcome.INVALID


def test_the_certificate_has_one_critical_purpose_and_no_longer_life_than_the_root(tsa: EmbeddedTsa) -> None:
    certificate = tsa.prepare()
    purposes = certificate.extensions.get_extension_for_class(ExtendedKeyUsage)
    assert purposes.critical
    assert list(purposes.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    assert certificate.not_valid_after_utc <= tsa.authority.root.not_valid_after_utc
    assert tsa.prepare() == certificate
    assert oct((tsa.authority.directory / "tsa.pem").stat().st_mode & 0o777) == "0o600"


def test_serial_numbers_grow_over_threads_and_restarts(tsa: EmbeddedTsa, clock: pki.StandingClock) -> None:
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(tsa.token, [IMPRINT] * 24))
    serials = {read_info(take_apart(token).info).serial for token in tokens}
    assert len(serials) == 24
    again = EmbeddedTsa(EmbeddedAuthority.load(tsa.authority.directory), clock)
    after = [read_info(take_apart(again.token(IMPRINT)).info).serial for _ in range(3)]
    assert after == sorted(after)
    assert after[0] > max(serials)


def test_a_lost_state_gives_no_serial_number_twice(tsa: EmbeddedTsa, clock: pki.StandingClock) -> None:
    before = read_info(take_apart(tsa.token(IMPRINT)).info).serial
    (tsa.authority.directory / "tsa.state").unlink()
    clock.at += timedelta(seconds=1)
    assert read_info(take_apart(tsa.token(IMPRINT)).info).serial > before


def test_a_clock_that_went_back_stamps_nothing(tsa: EmbeddedTsa, clock: pki.StandingClock) -> None:
    first = read_info(take_apart(tsa.token(IMPRINT)).info)
    clock.at -= timedelta(seconds=4)  # as daemons that set clocks do
    second = read_info(take_apart(tsa.token(IMPRINT)).info)
    assert second.at == first.at
    assert second.serial > first.serial
    clock.at -= timedelta(seconds=2)
    with pytest.raises(TsaClockWentBack) as refused:
        tsa.token(IMPRINT)
    assert refused.value.retryable
    clock.at += timedelta(hours=1)
    assert read_info(take_apart(tsa.token(IMPRINT)).info).at > first.at


def test_the_certificate_is_renewed_in_its_last_year_and_old_tokens_stay_valid(
    tsa: EmbeddedTsa, clock: pki.StandingClock
) -> None:
    old = tsa.prepare()
    token = tsa.token(IMPRINT)
    clock.at = old.not_valid_after_utc - RENEW_BEFORE
    assert tsa.prepare() == old
    clock.at += timedelta(seconds=1)
    later = tsa.token(IMPRINT)
    new = load_pem_x509_certificate((tsa.authority.directory / "tsa.pem").read_bytes())
    assert new != old
    assert new.public_key() != old.public_key()
    assert take_apart(later).certificate == new.public_bytes(Encoding.DER)
    for each in (token, later):
        assert judge_timestamp(CONTENT, each, chains=chains(tsa))[0].code == "timestamp.valid"


def test_after_the_end_of_the_root_nothing_is_stamped(tsa: EmbeddedTsa, clock: pki.StandingClock) -> None:
    clock.at = tsa.authority.root.not_valid_after_utc - timedelta(days=10)
    assert judge_timestamp(CONTENT, tsa.token(IMPRINT), chains=chains(tsa))[0].code == "timestamp.valid"
    clock.at += timedelta(days=11)
    with pytest.raises(TsaNotValid):
        tsa.token(IMPRINT)


@pytest.mark.parametrize("imprint", [b"", b"x" * 20, b"x" * 33, b"x" * 48])
def test_other_imprints_are_refused(tsa: EmbeddedTsa, imprint: bytes) -> None:
    with pytest.raises(BadImprint):
        tsa.token(imprint)
    assert not (tsa.authority.directory / "tsa.state").exists()


def test_damaged_files_are_told_and_not_overwritten(tsa: EmbeddedTsa) -> None:
    tsa.token(IMPRINT)
    state, pem = (tsa.authority.directory / name for name in ("tsa.state", "tsa.pem"))
    for text in ("", "12", "0 2026-11-24T08:00:00Z\n", "12 yesterday\n", "12 2026-11-24T08:00:00Z\n\n", "\0" * 40):
        state.write_text(text)
        with pytest.raises(AuthorityBroken):
            tsa.token(IMPRINT)
        assert state.read_text() == text
    state.unlink()
    whole = pem.read_bytes()
    pem.chmod(0o644)
    with pytest.raises(KeyExposed):
        tsa.token(IMPRINT)
    pem.chmod(0o600)
    pem.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KeyUnreadable):
        tsa.token(IMPRINT)


def test_a_key_of_another_authority_is_refused(tsa: EmbeddedTsa, tmp_path: Path, clock: pki.StandingClock) -> None:
    other = EmbeddedAuthority.create(tmp_path / "other", organisation="某局", valid_from=pki.START)
    EmbeddedTsa(other, clock).prepare()
    (tsa.authority.directory / "tsa.pem").write_bytes((other.directory / "tsa.pem").read_bytes())
    (tsa.authority.directory / "tsa.pem").chmod(0o600)
    with pytest.raises(AuthorityBroken):
        tsa.token(IMPRINT)


_KILLED = """
import os, signal, sys
from pathlib import Path
from archive.kernel.clock import SystemClock
from signing import tsa as module
from signing.authority import EmbeddedAuthority

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

module.make_token = die
module.EmbeddedTsa(EmbeddedAuthority.load(Path(sys.argv[1])), SystemClock()).token(bytes(32))
"""


def test_who_is_killed_while_stamping_holds_nobody_up(tmp_path: Path) -> None:
    from archive.kernel.clock import SystemClock

    clock = SystemClock()
    authority = EmbeddedAuthority.create(tmp_path / "ca", organisation="某局", valid_from=clock.now())
    done = subprocess.run([sys.executable, "-c", _KILLED, authority.directory], check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    noted = int((authority.directory / "tsa.state").read_text().split()[0])
    assert read_info(take_apart(EmbeddedTsa(authority, clock).token(IMPRINT)).info).serial > noted
