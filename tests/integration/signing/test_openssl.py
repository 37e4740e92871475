"""OpenSSL's command line judges our certificates and signatures, and makes signatures that we judge."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from archive.kernel.clock import SystemClock
from archive.kernel.findings import Outcome
from archive.kernel.instants import Instant
from signing.authority import EmbeddedAuthority
from signing.cades import CadesSigner, check_detached
from signing.ed25519 import Ed25519KeyHandle, verify_ed25519
from tests.integration.signing.conftest import Openssl, Signed
from tests.unit.signing import pki
from tests.unit.signing.pki import MANIFEST, SIGNED_AT

CMS_VERIFY = ("cms", "-verify", "-binary", "-inform", "DER", "-out", "/dev/null")


def at(time: Instant) -> tuple[str, str]:
    return ("-attime", str(int(time.timestamp())))


def test_cms_verify_accepts(signed: Signed, openssl: Openssl) -> None:
    base = (*CMS_VERIFY, "-in", signed.p7s, "-content", signed.manifest, "-CAfile", signed.authority.root_path)
    for extra in ((), ("-cades",), ("-x509_strict",), ("-purpose", "smimesign")):
        done = openssl(*base, *at(SIGNED_AT), *extra)
        assert done.returncode == 0, (extra, done.stderr)
        assert b"erification successful" in done.stderr


def test_cms_verify_accepts_as_anybody_would_type_it(tmp_path: Path, openssl: Openssl) -> None:
    """With today's clock on both sides and no option that helps."""
    clock = SystemClock()
    authority = EmbeddedAuthority.create(tmp_path / "ca", organisation="Bureau", valid_from=clock.now())
    signer = CadesSigner(key=authority.manifest_key(), certificate=authority.manifest_certificate, clock=clock)
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    (tmp_path / "manifest.json.p7s").write_bytes(signer.sign_detached(MANIFEST))
    done = openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "manifest.json.p7s"),
        *("-content", tmp_path / "manifest.json", "-CAfile", authority.root_path),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == MANIFEST


@pytest.mark.parametrize("kind", ["RSA 3072", "P-384", "P-521"])
def test_cms_verify_accepts_other_keys(openssl: Openssl, tmp_path: Path, kind: str) -> None:
    key: pki.PrivateKey
    if kind.startswith("RSA"):
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    else:
        key = ec.generate_private_key({"P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[kind]())
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = pki.certificate("root", key=root_key, is_ca=True)
    leaf = pki.certificate("昆明", key=key, issuer=root, issuer_key=root_key)
    (tmp_path / "root.pem").write_bytes(pki.pem(root))
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    p7s = CadesSigner(key=key, certificate=leaf, clock=pki.StandingClock()).sign_detached(MANIFEST)
    (tmp_path / "manifest.json.p7s").write_bytes(p7s)
    done = openssl(
        *(*CMS_VERIFY, "-cades", "-in", tmp_path / "manifest.json.p7s", "-content", tmp_path / "manifest.json"),
        *("-CAfile", tmp_path / "root.pem", *at(SIGNED_AT)),
    )
    assert done.returncode == 0, done.stderr


def test_cms_verify_refuses_without_the_root(signed: Signed, openssl: Openssl) -> None:
    done = openssl(*CMS_VERIFY, "-in", signed.p7s, "-content", signed.manifest, *at(SIGNED_AT))
    assert done.returncode != 0
    assert b"unable to get local issuer certificate" in done.stderr


def test_every_changed_byte_of_the_content_is_refused_by_both(signed: Signed, openssl: Openssl, tmp_path: Path) -> None:
    changed_file = tmp_path / "changed.json"
    p7s = signed.p7s.read_bytes()
    for position in range(len(MANIFEST)):
        changed = bytearray(MANIFEST)
        changed[position] ^= 1 << position % 8
        changed_file.write_bytes(changed)
        done = openssl(
            *(*CMS_VERIFY, "-in", signed.p7s, "-content", changed_file, "-CAfile", signed.authority.root_path),
            *at(SIGNED_AT),
        )
        ours = check_detached(bytes(changed), p7s, trust_roots_pem=signed.authority.root_pem, at=SIGNED_AT)
        assert done.returncode != 0, position
        assert ours.outcome is Outcome.INVALID, position


def test_appended_bytes_pass_openssl_but_not_us(signed: Signed, openssl: Openssl, tmp_path: Path) -> None:
    """Why the container is compared byte by byte."""
    longer = tmp_path / "longer.p7s"
    longer.write_bytes(signed.p7s.read_bytes() + b"junk")
    done = openssl(
        *(*CMS_VERIFY, "-in", longer, "-content", signed.manifest, "-CAfile", signed.authority.root_path),
        *at(SIGNED_AT),
    )
    ours = check_detached(MANIFEST, longer.read_bytes(), trust_roots_pem=signed.authority.root_pem, at=SIGNED_AT)
    assert done.returncode == 0
    assert ours.outcome is Outcome.INVALID


def test_asn1parse_reads_it_to_the_end(signed: Signed, openssl: Openssl) -> None:
    done = openssl("asn1parse", "-inform", "DER", "-in", signed.p7s)
    assert done.returncode == 0, done.stderr
    for name in (b"pkcs7-signedData", b"signingTime", b"messageDigest", b"id-smime-aa-signingCertificateV2"):
        assert done.stdout.count(name) == 1
    assert b"indefinite" not in done.stdout
    printed = openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", signed.p7s).stdout
    told = b" ".join(printed.split())
    for part in (b"eContent:", b"crls:", b"unsignedAttrs:"):
        assert part + b" <ABSENT>" in told


@pytest.mark.parametrize("file_name", ["root.cert.pem", "manifest.cert.pem", "tls.pem"])
@pytest.mark.parametrize("options", [(), ("-x509_strict",), ("-policy_check", "-check_ss_sig")])
def test_verify(signed: Signed, openssl: Openssl, file_name: str, options: tuple[str, ...]) -> None:
    path = signed.authority.directory / file_name
    done = openssl("verify", *options, *at(SIGNED_AT), "-CAfile", signed.authority.root_path, path)
    assert done.returncode == 0, done.stderr
    # Nothing is trusted that the system trusts, or by itself.
    assert openssl("verify", *at(SIGNED_AT), path).returncode != 0


def purposes(openssl: Openssl, path: Path) -> dict[str, str]:
    printed = openssl("x509", "-in", path, "-noout", "-purpose").stdout.decode()
    return dict(line.split(" : ") for line in printed.splitlines() if " : " in line)


def test_purposes(signed: Signed, openssl: Openssl) -> None:
    manifest = purposes(openssl, signed.authority.directory / "manifest.cert.pem")
    assert manifest["S/MIME signing"] == "Yes"
    assert manifest["SSL server"] == manifest["SSL client"] == manifest["S/MIME signing CA"] == "No"
    tls = purposes(openssl, signed.authority.tls_path)
    assert tls["SSL server"] == "Yes"
    assert tls["S/MIME signing"] == tls["SSL client"] == tls["SSL server CA"] == "No"
    root = purposes(openssl, signed.authority.root_path)
    assert root["SSL server CA"] == root["S/MIME signing CA"] == "Yes"
    assert root["SSL server"] == root["S/MIME signing"] == "No"


def test_the_server_names_are_judged(signed: Signed, openssl: Openssl) -> None:
    base = ("verify", "-purpose", "sslserver", *at(SIGNED_AT), "-CAfile", signed.authority.root_path)
    for option, name, is_right in (
        ("-verify_hostname", "localhost", True),
        ("-verify_hostname", "archive.example.org", True),
        ("-verify_ip", "127.0.0.1", True),
        ("-verify_ip", "::1", True),
        ("-verify_ip", "10.20.30.40", True),
        ("-verify_hostname", "other.example.org", False),
        ("-verify_ip", "10.20.30.41", False),
    ):
        done = openssl(*base, option, name, signed.authority.tls_path)
        assert (done.returncode == 0) == is_right, (name, done.stderr)


def test_a_manifest_key_cannot_play_the_root(signed: Signed, openssl: Openssl, tmp_path: Path) -> None:
    """A certificate issued by the manifest key is refused: path length and key usage hold."""
    directory = signed.authority.directory
    made = openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=evil"),
        *("-keyout", tmp_path / "evil.key", "-out", tmp_path / "evil.pem", "-days", "5"),
        *("-CA", directory / "manifest.cert.pem", "-CAkey", directory / "manifest.key.pem"),
    )
    assert made.returncode == 0, made.stderr
    done = openssl(
        *("verify", "-no_check_time", "-CAfile", signed.authority.root_path),
        *("-untrusted", directory / "manifest.cert.pem", tmp_path / "evil.pem"),
    )
    assert done.returncode != 0
    assert b"invalid CA certificate" in done.stderr


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_a_signature_made_by_openssl_is_valid_for_us(openssl: Openssl, tmp_path: Path, digest: str) -> None:
    clock = SystemClock()
    authority = EmbeddedAuthority.create(
        tmp_path / "ca", organisation="Bureau", valid_from=clock.now() - timedelta(minutes=1)
    )
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    made = openssl(
        *("cms", "-sign", "-binary", "-cades", "-nosmimecap", "-md", digest, "-outform", "DER"),
        *("-in", tmp_path / "manifest.json", "-out", tmp_path / "theirs.p7s"),
        *("-signer", tmp_path / "ca" / "manifest.cert.pem", "-inkey", tmp_path / "ca" / "manifest.key.pem"),
    )
    assert made.returncode == 0, made.stderr
    theirs = (tmp_path / "theirs.p7s").read_bytes()
    report = check_detached(MANIFEST, theirs, trust_roots_pem=authority.root_pem, at=clock.now())
    assert report.outcome is Outcome.VALID, report


def test_ed25519_with_openssl(tmp_path: Path, openssl: Openssl) -> None:
    ours = Ed25519KeyHandle.generate(tmp_path / "log.key.pem")
    (tmp_path / "entry").write_bytes(b"entry")
    public = openssl("pkey", "-in", tmp_path / "log.key.pem", "-pubout", "-out", tmp_path / "log.pub.pem")
    assert public.returncode == 0, public.stderr
    key = load_pem_public_key((tmp_path / "log.pub.pem").read_bytes())
    assert key.public_bytes(Encoding.Raw, PublicFormat.Raw) == ours.public_bytes

    (tmp_path / "ours.sig").write_bytes(ours.sign(b"entry"))
    verified = openssl(
        *("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", tmp_path / "log.pub.pem"),
        *("-in", tmp_path / "entry", "-sigfile", tmp_path / "ours.sig"),
    )
    assert verified.returncode == 0, verified.stderr

    signed = openssl(
        *("pkeyutl", "-sign", "-rawin", "-inkey", tmp_path / "log.key.pem"),
        *("-in", tmp_path / "entry", "-out", tmp_path / "theirs.sig"),
    )
    assert signed.returncode == 0, signed.stderr
    assert verify_ed25519(ours.public_bytes, (tmp_path / "theirs.sig").read_bytes(), b"entry")


def test_an_encrypted_key_opens_with_openssl(tmp_path: Path, openssl: Openssl) -> None:
    Ed25519KeyHandle.generate(tmp_path / "log.key.pem", passphrase=b"from a file")
    assert openssl("pkey", "-in", tmp_path / "log.key.pem", "-passin", "pass:from a file", "-noout").returncode == 0
    assert openssl("pkey", "-in", tmp_path / "log.key.pem", "-passin", "pass:another", "-noout").returncode != 0
