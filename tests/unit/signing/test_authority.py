"""The embedded authority: what is in its certificates, what lies in its directory, how the TLS part is renewed."""

import ipaddress
import os
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from signing import certificates
from signing.authority import AuthorityBroken, AuthorityExists, AuthorityMissing, EmbeddedAuthority, fingerprint
from signing.certificates import BadHostName, BadOrganisation
from signing.keyfiles import KeyExposed, KeyUnreadable
from tests.unit.signing import pki
from tests.unit.signing.pki import START


def create(directory: Path, **changes: object) -> EmbeddedAuthority:
    options: dict[str, object] = {"organisation": "昆明市某局", "valid_from": START, **changes}
    return EmbeddedAuthority.create(directory, **options)  # type: ignore[arg-type]


def snapshot(directory: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


def names_in(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in found]


def test_root(authority: EmbeddedAuthority) -> None:
    root = authority.root
    assert root.subject == root.issuer
    assert root.subject.rfc4514_string() == "CN=昆明市某局 self-issued root,OU=self-issued by Liuhen,O=昆明市某局"
    assert root.not_valid_before_utc == START
    assert root.not_valid_after_utc == START.replace(year=START.year + 20)
    public_key = root.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert isinstance(public_key.curve, ec.SECP256R1)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)


@pytest.mark.parametrize("kind", ["manifest", "tls"])
def test_end_entities(authority: EmbeddedAuthority, kind: str) -> None:
    certificate = authority.manifest_certificate if kind == "manifest" else authority.tls_certificate()
    extensions = certificate.extensions
    root_id = authority.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == root_id
    assert (
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())  # type: ignore[arg-type]
    )
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert [each.value for each in units] == ["self-issued by Liuhen"]
    certificate.verify_directly_issued_by(authority.root)


def test_purposes(authority: EmbeddedAuthority) -> None:
    manifest = authority.manifest_certificate.extensions
    usage = manifest.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.content_commitment, usage.key_cert_sign) == (True, True, False)
    purposes = manifest.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    tls = authority.tls_certificate()
    assert list(tls.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert tls.not_valid_after_utc - tls.not_valid_before_utc <= timedelta(days=398)


def test_serial_numbers_are_random(tmp_path: Path) -> None:
    made = [create(tmp_path / str(number)) for number in range(2)]
    serials = {
        certificate.serial_number
        for authority in made
        for certificate in (authority.root, authority.manifest_certificate, authority.tls_certificate())
    }
    assert len(serials) == 6
    assert all(serial.bit_length() > 100 for serial in serials)


def test_files_and_modes(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        create(tmp_path / "ca")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    assert {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "ca").iterdir()} == {
        "root.cert.pem": 0o644,
        "root.key.pem": 0o600,
        "manifest.cert.pem": 0o644,
        "manifest.key.pem": 0o600,
        "tls.pem": 0o600,
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["ca"]


def test_every_certificate_file_says_that_it_is_self_issued(authority: EmbeddedAuthority) -> None:
    for file_name in ("root.cert.pem", "manifest.cert.pem", "tls.pem"):
        text = (authority.directory / file_name).read_text("ascii")
        assert text.startswith("This certificate is self-issued by Liuhen: no outside authority vouches for it.\n")
        assert f"SHA-256 {fingerprint(x509.load_pem_x509_certificate(text.encode()))}\n" in text
    assert authority.root_path.read_bytes() == authority.root_pem


def test_the_second_create_refuses_and_changes_nothing(tmp_path: Path) -> None:
    create(tmp_path / "ca")
    before = snapshot(tmp_path / "ca")
    with pytest.raises(AuthorityExists):
        create(tmp_path / "ca", organisation="another")
    assert snapshot(tmp_path / "ca") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["ca"]


def test_create_refuses_what_is_not_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    for taken in ("file", "full"):
        with pytest.raises(AuthorityExists):
            create(tmp_path / taken)
    (tmp_path / "empty").mkdir(mode=0o755)
    create(tmp_path / "empty")
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700
    create(tmp_path / "deep" / "er" / "ca")


def test_create_below_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(OSError, match="file"):
        create(tmp_path / "file" / "ca")


def test_of_many_that_create_at_once_one_wins(tmp_path: Path) -> None:
    made: list[EmbeddedAuthority] = []
    refused: list[AuthorityExists] = []

    def attempt() -> None:
        try:
            made.append(create(tmp_path / "ca"))
        except AuthorityExists as exc:
            refused.append(exc)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(refused) == 5
    assert EmbeddedAuthority.load(tmp_path / "ca").root == made[0].root
    assert [entry.name for entry in tmp_path.iterdir()] == ["ca"]


def test_load_gives_the_same_and_knows_its_keys(authority: EmbeddedAuthority) -> None:
    loaded = EmbeddedAuthority.load(authority.directory)
    assert loaded == authority
    assert loaded.manifest_key().public_key() == authority.manifest_certificate.public_key()


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(AuthorityMissing):
        EmbeddedAuthority.load(tmp_path / "ca")


@pytest.mark.parametrize("file_name", ["root.cert.pem", "manifest.cert.pem", "tls.pem"])
def test_load_refuses_damaged_and_foreign_certificates(tmp_path: Path, file_name: str) -> None:
    create(tmp_path / "ca")
    create(tmp_path / "other")
    path = tmp_path / "ca" / file_name
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(AuthorityBroken):
        EmbeddedAuthority.load(tmp_path / "ca")
    path.write_bytes((tmp_path / "other" / file_name).read_bytes())
    with pytest.raises(AuthorityBroken):
        EmbeddedAuthority.load(tmp_path / "ca")


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca")
    (tmp_path / "ca" / "manifest.key.pem").write_bytes((tmp_path / "ca" / "root.key.pem").read_bytes())
    with pytest.raises(AuthorityBroken):
        authority.manifest_key()


def test_an_exposed_key_is_refused(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca")
    (tmp_path / "ca" / "manifest.key.pem").chmod(0o644)
    with pytest.raises(KeyExposed):
        authority.manifest_key()


def test_passphrase(tmp_path: Path) -> None:
    made = create(tmp_path / "ca", passphrase=b"from a secrets file")
    assert "secrets" not in repr(made)
    for file_name in ("root.key.pem", "manifest.key.pem"):
        assert b"ENCRYPTED" in (tmp_path / "ca" / file_name).read_bytes()
    loaded = EmbeddedAuthority.load(tmp_path / "ca", passphrase=b"from a secrets file")
    loaded.manifest_key()
    assert loaded.renew_tls_if_due(START + timedelta(days=390))
    with pytest.raises(KeyUnreadable):
        EmbeddedAuthority.load(tmp_path / "ca").manifest_key()


def test_host_names(tmp_path: Path) -> None:
    authority = create(
        tmp_path / "ca",
        host_names=["Archive.Example.ORG.", "10.0.0.5", "fd00::5", "档案.example", "localhost", "127.0.0.1"],
    )
    assert names_in(authority.tls_certificate()) == [
        "localhost",
        "127.0.0.1",
        "::1",
        "archive.example.org",
        "10.0.0.5",
        "fd00::5",
        "xn--dyv4b.example",
    ]


@pytest.mark.parametrize(
    "host", ["", ".", "a b", "-a.example", "a..b", "x" * 64 + ".example", "a_b", "*.example", "a/b"]
)
def test_bad_host_names(tmp_path: Path, host: str) -> None:
    with pytest.raises(BadHostName):
        create(tmp_path / "ca", host_names=[host])
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=80))
def test_any_host_name_is_taken_or_refused(host: str) -> None:
    try:
        names = certificates.alternative_names([host])
    except BadHostName:
        return
    assert len(names) in {3, 4}
    for each in names:
        assert isinstance(each.value, str | ipaddress.IPv4Address | ipaddress.IPv6Address)


@pytest.mark.parametrize("organisation", ["", "   ", "x" * 201, "a\nb", "a\u202eb"])
def test_bad_organisations(tmp_path: Path, organisation: str) -> None:
    with pytest.raises(BadOrganisation):
        create(tmp_path / "ca", organisation=organisation)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [1, 15, 16, 21, 22, 200])
def test_a_long_organisation_is_cut(tmp_path: Path, length: int) -> None:
    authority = create(tmp_path / "ca", organisation=" " + "昆" * length)
    for certificate in (authority.root, authority.manifest_certificate, authority.tls_certificate()):
        subject = {each.oid: str(each.value) for each in certificate.subject}
        organisation, common = subject[NameOID.ORGANIZATION_NAME], subject[NameOID.COMMON_NAME]
        assert organisation == ("昆" * length if length <= 21 else "昆" * 20 + "…")
        assert len(common.encode()) <= 64
        assert common.startswith("昆")
        assert common.endswith((" self-issued root", " manifest signing", " TLS server"))
    EmbeddedAuthority.load(tmp_path / "ca")


def test_a_certificate_without_an_organisation_issues_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    nameless = pki.certificate("root", key=key, is_ca=True)
    with pytest.raises(BadOrganisation, match="names no organisation"):
        certificates.issue(
            certificates.TLS_SERVER, public_key=key.public_key(), root=nameless, root_key=key, valid_from=START
        )


def test_tls_is_renewed_when_due_and_only_then(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca", host_names=["archive.example.org"])
    first = authority.tls_certificate()
    due = first.not_valid_after_utc - timedelta(days=30)
    assert not authority.renew_tls_if_due(START)
    assert not authority.renew_tls_if_due(due)
    assert authority.tls_certificate() == first

    now = due + timedelta(seconds=1)
    assert authority.renew_tls_if_due(now)
    second = authority.tls_certificate()
    assert second.serial_number != first.serial_number
    assert second.public_key() != first.public_key()
    assert names_in(second) == names_in(first)
    assert second.not_valid_before_utc == now - timedelta(hours=1)
    assert second.not_valid_after_utc - second.not_valid_before_utc <= timedelta(days=398)
    key = load_pem_private_key(authority.tls_path.read_bytes(), None)
    assert key.public_key() == second.public_key()
    assert stat.S_IMODE(authority.tls_path.stat().st_mode) == 0o600
    assert EmbeddedAuthority.load(tmp_path / "ca").tls_certificate() == second
    assert not authority.renew_tls_if_due(now)


def test_tls_is_renewed_long_after_its_end(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca")
    late = START + timedelta(days=3000)
    assert authority.renew_tls_if_due(late)
    assert authority.tls_certificate().not_valid_after_utc > late + timedelta(days=300)


def test_tls_is_renewed_when_the_names_change(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca")
    assert authority.renew_tls_if_due(START, host_names=["10.1.2.3"])
    assert "10.1.2.3" in names_in(authority.tls_certificate())
    assert not authority.renew_tls_if_due(START, host_names=["10.1.2.3", "localhost"])
    assert not authority.renew_tls_if_due(START)
    assert authority.renew_tls_if_due(START, host_names=[])
    assert "10.1.2.3" not in names_in(authority.tls_certificate())


def test_nothing_outlives_the_root(tmp_path: Path) -> None:
    authority = create(tmp_path / "ca")
    end = authority.root.not_valid_after_utc
    assert authority.renew_tls_if_due(end - timedelta(days=100))
    assert authority.tls_certificate().not_valid_after_utc == end
    assert not authority.renew_tls_if_due(end - timedelta(days=10))


def test_a_further_kind_of_certificate_is_one_profile(authority: EmbeddedAuthority) -> None:
    timestamps = certificates.Profile(
        role="timestamps",
        valid=timedelta(days=3650),
        key_usage=certificates.MANIFEST_SIGNING.key_usage,
        extended_key_usage=(ExtendedKeyUsageOID.TIME_STAMPING,),
        is_extended_usage_critical=True,
    )
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue(timestamps, public_key=key.public_key(), valid_from=START)
    issued.verify_directly_issued_by(authority.root)
    assert issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).critical
