"""The embedded certificate authority: the archive issues its own certificates and says so in each of them.

One directory holds it all:

    root.cert.pem  root.key.pem              the root; its key is read only while something is issued
    roots.pem                                the certificates that the root had before it was extended
    manifest.cert.pem  manifest.key.pem      the first key that signs item manifests
    manifest.pem                             key and certificate of the one that was made in its place
    tls.pem                                  key and certificate of the web server; one file, so renewing is atomic
    tsa.pem, root.crl, ocsp.pem              see `signing.tsa`, `signing.revocation`, `signing.ocsp`
"""

import errno
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from archive.kernel.errors import Conflict, LiuhenError, NotFound
from archive.kernel.instants import Instant
from archive.ports.revocations import Revocation
from signing import certificates, keyfiles
from signing.chains import is_issued_by
from signing.subjects import StatusAddresses

_RENEW_BEFORE: Final = timedelta(days=30)
_CLOCKS_DIFFER: Final = timedelta(hours=1)
_LEAST_GAIN: Final = timedelta(days=1)
_MANIFEST: Final = "manifest.pem"
_FORMER: Final = "roots.pem"


class AuthorityExists(Conflict):
    """There is a certificate authority, or something else, in this directory already; it was not touched."""

    code = "authority.exists"


class AuthorityMissing(NotFound):
    """There is no certificate authority in this directory."""

    code = "authority.missing"


class RootLasts(Conflict):
    """The root lasts as long as a new one would: there is nothing to extend."""

    code = "authority.root_lasts"


class AuthorityBroken(LiuhenError):
    """The files of the certificate authority are damaged or do not belong together."""

    code = "authority.broken"
    exit_code = 78


@dataclass(frozen=True, slots=True)
class EmbeddedAuthority:
    """A root and the certificates that it has issued for this archive, kept in one directory (mode 0700)."""

    directory: Path
    root: x509.Certificate
    manifest_certificate: x509.Certificate
    passphrase: bytes | None = None
    former_roots: Sequence[x509.Certificate] = ()

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        organisation: str,
        valid_from: Instant,
        host_names: Sequence[str] = (),
        passphrase: bytes | None = None,
    ) -> Self:
        """Make root, manifest signing and TLS certificates in `directory`; it appears whole or not at all.

        `passphrase` encrypts the keys of root and manifests; the TLS key stays open, because the server starts alone.
        Raises: AuthorityExists, BadOrganisation, BadHostName, StorageFull.
        """
        names = certificates.alternative_names(host_names)
        organisation = certificates.checked_organisation(organisation)
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise AuthorityExists(directory=str(directory))

        root_key = _new_key()
        root = certificates.make_root(root_key, organisation=organisation, valid_from=valid_from)
        manifest_key, tls_key = _new_key(), _new_key()
        manifest = certificates.issue(
            certificates.MANIFEST_SIGNING,
            public_key=manifest_key.public_key(),
            root=root,
            root_key=root_key,
            valid_from=valid_from,
        )
        tls = certificates.issue(
            certificates.TLS_SERVER,
            public_key=tls_key.public_key(),
            root=root,
            root_key=root_key,
            valid_from=valid_from,
            names=names,
        )
        _write_directory(
            directory,
            secret={
                "root.key.pem": keyfiles.private_pem(root_key, passphrase=passphrase),
                "manifest.key.pem": keyfiles.private_pem(manifest_key, passphrase=passphrase),
                "tls.pem": _tls_pem(tls_key, tls),
            },
            public={"root.cert.pem": labelled_pem(root), "manifest.cert.pem": labelled_pem(manifest)},
        )
        return cls(directory, root, manifest, passphrase)

    @classmethod
    def load(cls, directory: Path, *, passphrase: bytes | None = None) -> Self:
        """Read the authority in `directory` and check that its certificates belong together.

        Raises: AuthorityMissing, AuthorityBroken.
        """
        root = _read_certificate(directory / "root.cert.pem")
        renewed = directory / _MANIFEST
        manifest = _read_certificate(renewed if renewed.exists() else directory / "manifest.cert.pem")
        former = tuple(each for each in _read_certificates(directory / _FORMER) if each != root)
        authority = cls(directory, root, manifest, passphrase, former)
        for certificate in (root, manifest, authority.tls_certificate(), *former):
            if not is_issued_by(certificate, root):
                raise AuthorityBroken("A certificate is not the root's", directory=str(directory))
        return authority

    @property
    def root_pem(self) -> bytes:
        """The root certificate in PEM: what others must get on another way than with the evidence."""
        return labelled_pem(self.root)

    @property
    def root_path(self) -> Path:
        """The file with the root certificate, for clients that must trust the server."""
        return self.directory / "root.cert.pem"

    @property
    def tls_path(self) -> Path:
        """The file with key and certificate of the web server, as `ssl.SSLContext.load_cert_chain` takes it."""
        return self.directory / "tls.pem"

    def tls_certificate(self) -> x509.Certificate:
        """Return the certificate that the web server shows now. Raises: AuthorityMissing, AuthorityBroken."""
        return _read_certificate(self.tls_path)

    def manifest_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the key that signs manifests.

        Raises: AuthorityBroken when it is not the key of the certificate; KeyMissing, KeyExposed, KeyUnreadable.
        """
        is_renewed = (self.directory / _MANIFEST).exists()
        return self._key_of(_MANIFEST if is_renewed else "manifest.key.pem", self.manifest_certificate)

    def renew_manifest_if_due(self, now: Instant, *, before: timedelta) -> bool:
        """Put a new key that signs manifests in place when the old one ends within `before`; return whether it did.

        What the old one has signed stays as it is, with its certificate inside. Processes that run sign on with the old
        one until they look again (`signing.renewed_signer`) or are started anew.
        Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        with keyfiles.exclusive(self.directory / "manifest.lock"):
            present = type(self).load(self.directory, passphrase=self.passphrase)
            ends = present.manifest_certificate.not_valid_after_utc
            # One of the root's last years cannot outlast the root: renewing it again would change nothing.
            if now <= ends - before or ends >= present.root.not_valid_after_utc:
                return False
            present.make_service_key(_MANIFEST, certificates.MANIFEST_SIGNING, valid_from=now)
            return True

    def extend_root(self, now: Instant) -> Self:
        """Have the root last 20 more years from now; return the authority with it.

        Name, key and beginning stay, so whatever was issued leads to it as before, and who pins the certificate before
        judges what is issued later too, until that ends. It is kept in `roots.pem`.
        Raises: RootLasts within a day of the last time; AuthorityBroken, StorageFull, KeyMissing, KeyExposed,
            KeyUnreadable.
        """
        with keyfiles.exclusive(self.directory / "root.lock"):
            present = type(self).load(self.directory, passphrase=self.passphrase)
            key = present._key_of("root.key.pem", present.root)  # noqa: SLF001 - one of ourselves
            fresh = certificates.extended_root(present.root, key, at=now)
            if fresh.not_valid_after_utc < present.root.not_valid_after_utc + _LEAST_GAIN:
                raise RootLasts(until=present.root.not_valid_after_utc.date().isoformat())
            # The old one first: a kill in between leaves it in both files, which is the same.
            kept = b"".join(labelled_pem(each) for each in (*present.former_roots, present.root))
            keyfiles.replace_durably(self.directory / _FORMER, kept, mode=keyfiles.PUBLIC)
            keyfiles.replace_durably(self.root_path, labelled_pem(fresh), mode=keyfiles.PUBLIC)
            return type(self).load(self.directory, passphrase=self.passphrase)

    def issue(
        self,
        profile: certificates.Profile,
        *,
        public_key: ec.EllipticCurvePublicKey,
        valid_from: Instant,
        names: Sequence[x509.GeneralName] = (),
        subject: x509.Name | None = None,
        addresses: StatusAddresses | None = None,
    ) -> x509.Certificate:
        """Return a new certificate of this profile, signed by the root.

        Without `subject` it is called by its role; `addresses` is where its status can be asked for.
        Raises: AuthorityBroken, KeyMissing, KeyExposed, KeyUnreadable.
        """
        return certificates.issue(
            profile,
            public_key=public_key,
            root=self.root,
            root_key=self._key_of("root.key.pem", self.root),
            valid_from=valid_from,
            names=names,
            subject=subject,
            further=() if addresses is None else addresses.extensions(),
        )

    def issue_crl(
        self,
        *,
        valid_from: Instant,
        valid: timedelta,
        before: x509.CertificateRevocationList | None,
        revoked: Iterable[Revocation] = (),
    ) -> x509.CertificateRevocationList:
        """Return a new revocation list that holds what the one before held, and what is `revoked` besides.

        Raises: AuthorityBroken, KeyMissing, KeyExposed, KeyUnreadable.
        """
        root_key = self._key_of("root.key.pem", self.root)
        return certificates.make_crl(
            self.root, root_key, valid_from=valid_from, valid=valid, before=before, revoked=revoked
        )

    def renew_tls_if_due(self, now: Instant, *, host_names: Sequence[str] | None = None) -> bool:
        """Put a new TLS key and certificate in place when the old one ends within 30 days; return whether it did.

        Also when `host_names` are given and differ from those in the certificate. The new certificate starts an hour
        ago, for clients whose clocks are slow. A running server must load `tls_path` again.
        Raises: AuthorityBroken, BadHostName, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        current = self.tls_certificate()
        served = list(current.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        wanted = served if host_names is None else certificates.alternative_names(host_names)
        # A certificate of the root's last days cannot outlast the root: renewing it again would change nothing.
        is_due = now > current.not_valid_after_utc - _RENEW_BEFORE and current.not_valid_after_utc < (
            self.root.not_valid_after_utc
        )
        if not is_due and set(wanted) == set(served):
            return False
        key = _new_key()
        certificate = self.issue(
            certificates.TLS_SERVER,
            public_key=key.public_key(),
            valid_from=now - _CLOCKS_DIFFER,
            names=wanted,
        )
        keyfiles.replace_durably(self.tls_path, _tls_pem(key, certificate), mode=keyfiles.PRIVATE)
        return True

    def make_service_key(
        self,
        name: str,
        profile: certificates.Profile,
        *,
        valid_from: Instant,
        subject: x509.Name | None = None,
        addresses: StatusAddresses | None = None,
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Put a new key with a certificate of this profile into the file `name` of the directory; return both.

        Without `subject` it is called by its role; `addresses` is where its status can be asked for.
        Raises: AuthorityBroken, StorageFull, KeyMissing, KeyExposed, KeyUnreadable.
        """
        key = _new_key()
        certificate = self.issue(
            profile, public_key=key.public_key(), valid_from=valid_from, subject=subject, addresses=addresses
        )
        private = keyfiles.private_pem(key, passphrase=self.passphrase)
        keyfiles.replace_durably(self.directory / name, labelled_pem(certificate) + private, mode=keyfiles.PRIVATE)
        return key, certificate

    def read_service_key(self, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Return what `make_service_key` put there.

        Raises: AuthorityBroken when they do not belong together, or not to this root; KeyMissing, KeyExposed,
            KeyUnreadable.
        """
        path = self.directory / name
        pem = keyfiles.read_secret(path)
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            key = load_pem_private_key(pem, self.passphrase)
        except (ValueError, TypeError) as exc:
            raise keyfiles.KeyUnreadable(path=str(path)) from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityBroken("A key is not the one of its certificate", file=str(path))
        if not is_issued_by(certificate, self.root):
            raise AuthorityBroken("A certificate is not the root's", file=str(path))
        return key, certificate

    def __repr__(self) -> str:
        """Show where it is and whose root it has, never the passphrase."""
        return f"EmbeddedAuthority({self.directory}, root={fingerprint(self.root)})"

    def _key_of(self, name: str, certificate: x509.Certificate) -> ec.EllipticCurvePrivateKey:
        key = keyfiles.read_private_key(self.directory / name, passphrase=self.passphrase)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityBroken("A key is not the one of its certificate", file=str(self.directory / name))
        return key


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def labelled_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate in PEM below a statement of what it is.

    Source: RFC 7468 section 5.2 (explanatory text before the encapsulation boundary).
    """
    statement = (
        f"This certificate is {certificates.SELF_ISSUED}: no outside authority vouches for it.\n"
        "Trust it only after comparing this fingerprint with one that reached you on another way.\n"
        f"SHA-256 {fingerprint(certificate)}\n"
    )
    return statement.encode("ascii") + certificate.public_bytes(Encoding.PEM)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _tls_pem(key: PrivateKeyTypes, certificate: x509.Certificate) -> bytes:
    return labelled_pem(certificate) + keyfiles.private_pem(key, passphrase=None)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise AuthorityMissing(file=str(path)) from exc
    except ValueError as exc:
        raise AuthorityBroken("A certificate cannot be read", file=str(path)) from exc


def _read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a file, none where there is none. Raises: AuthorityBroken."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as exc:
        raise AuthorityBroken("Certificates cannot be read", file=str(path)) from exc


def _write_directory(directory: Path, *, secret: dict[str, bytes], public: dict[str, bytes]) -> None:
    """Make `directory` with these files, all of them or nothing, durable on return."""
    staging = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}.tmp")
    with keyfiles.full_disk_told(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=0o700)
    try:
        with keyfiles.full_disk_told(directory):
            for files, mode in ((secret, keyfiles.PRIVATE), (public, keyfiles.PUBLIC)):
                for name, data in files.items():
                    keyfiles.write_once(staging / name, data, mode=mode)
            staging.rename(directory)
    except OSError as exc:
        # Somebody was quicker: rename(2) replaces an empty directory only (and none that is a mount point).
        if exc.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise AuthorityExists(directory=str(directory)) from exc
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    keyfiles.fsync_directory(directory.parent)
