"""Complete case packages, made by hand from docs/formats/case-package.md and with no code of the builder.

A `House` is an archive's keys, certificates and log; `House.package` writes a valid package of its one case into a folder.
`House.make` with another seed makes all of it anew: whoever forges a package whole does the same.
"""

import base64
import functools
import hashlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from archive.kernel.canonical import canonical_json
from signing import certificates
from signing.cades import CadesSigner

ORIGIN = "evidence.example.org/log/2026"
NOW = datetime.now(UTC).replace(microsecond=0)
TSA = certificates.Profile(
    role="timestamping",
    valid=timedelta(days=3650),
    key_usage=certificates._key_usage("digital_signature"),
    extended_key_usage=(ExtendedKeyUsageOID.TIME_STAMPING,),
    is_extended_usage_critical=True,
)
_TSA_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
ess_cert_id_alg = sha256
default_policy = 1.3.6.1.4.1.59999.1
digests = sha256, sha512
accuracy = secs:1
ordering = yes
"""


# ---- the tree and its notes (RFC 6962 section 2.1, C2SP signed-note) ------------------------------------------------


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    cut = _split(len(leaves))
    return _node(root(leaves[:cut]), root(leaves[cut:]))


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) <= 1:
        return []
    cut = _split(len(leaves))
    if index < cut:
        return [*path(index, leaves[:cut]), root(leaves[cut:])]
    return [*path(index - cut, leaves[cut:]), root(leaves[:cut])]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


@dataclass(frozen=True)
class NoteKey:
    """A key that signs notes: kind 0x01 as a log, 0x04 as a witness."""

    name: str
    private: Ed25519PrivateKey
    kind: bytes = b"\1"

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(self.kind + self.public)}"

    def line(self, text: str, *, at: int = 0) -> str:
        if self.kind == b"\4":
            stamp = at.to_bytes(8, "big")
            signed = stamp + self.private.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        else:
            signed = self.private.sign(text.encode())
        return f"\N{EM DASH} {self.name} {b64(self.key_id + signed)}\n"


# ---- an archive -----------------------------------------------------------------------------------------------------


@dataclass
class House:
    """Keys, certificates and log of one archive. Everything random comes from the seed, but the certificates' keys."""

    seed: int
    folder: Path
    clock: datetime = NOW
    entries: list[bytes] = field(default_factory=list)
    details: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def make(cls, seed: int = 1) -> "House":
        return _house(seed)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        began = self.clock - timedelta(days=30)
        self.root_key, self.sign_key, self.tsa_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.root = certificates.make_root(self.root_key, organisation="某局", valid_from=began)
        issue = functools.partial(certificates.issue, root=self.root, root_key=self.root_key, valid_from=began)
        self.certificate = issue(certificates.MANIFEST_SIGNING, public_key=self.sign_key.public_key())
        tsa = issue(TSA, public_key=self.tsa_key.public_key())
        self.log = NoteKey(ORIGIN, self._ed25519())
        self.receipt = NoteKey(f"{ORIGIN}/receipt", self._ed25519(), b"\xffliuhen-receipt/v1")
        self.witnesses = [NoteKey(f"witness{n}.example", self._ed25519(), b"\4") for n in (1, 2)]
        self.signer = CadesSigner(key=self.sign_key, certificate=self.certificate, clock=self)
        self.tsa = OpenSslTsa(self.folder, tsa, self.tsa_key)
        self._live()

    def now(self) -> datetime:
        """Satisfy the signer's clock: a little before the moment, so that no token is older than what it stamps."""
        return datetime.now(UTC).replace(microsecond=0)

    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32))

    def uuid(self) -> str:
        return str(UUID(bytes=self.random.randbytes(16), version=4))

    # -- the log --

    def append(self, kind: str, **fields: object) -> int:
        index = len(self.entries)
        detail = {"note": f"entry {index}", "place": "证据室"}
        salt = self.random.randbytes(32)
        at = (self.clock - timedelta(hours=1) + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        entry = {
            "v": 1, "id": self.uuid(), "t": at, "type": kind, "actor": "00000000-0000-7000-8000-000000000001", **fields,
            "detail_c": hashlib.sha256(salt + canonical_json(detail)).hexdigest(),
        }  # fmt: skip
        self.entries.append(canonical_json(entry))
        self.details[index] = canonical_json({"detail": detail, "salt": salt.hex()})
        return index

    def _live(self) -> None:
        """Fill the log: other people's entries between those of the case."""
        self.case_id = self.uuid()
        self.objects = []
        self.case_entries = [self.append("case.opened", case=self.case_id)]
        for kind, name, size in (
            ("item", "执法现场 100%.mp4", 300_000),
            ("item", "b.jpg", 5_000),
            ("record", "笔录.pdf", 9_000),
        ):
            content = self.random.randbytes(size)
            made = {"id": self.uuid(), "kind": kind, "name": name, "content": content, "entries": []}
            dig = {name: hashlib.new(name, content).hexdigest() for name in ("sha256", "sha512")}
            obj = {"kind": kind, "id": made["id"]}
            for what, more in (
                ("ingest.received", {"dig": dig, "size": size}),
                ("record.filed" if kind == "record" else "object.preserved", {"dig": dig, "size": size}),
                ("case.link", {"case": self.case_id}),
                ("access.view", {}),
            ):
                self.append("admin.signed_in")
                made["entries"].append(self.append(what, obj=obj, **more))
            self.objects.append(made)
        self.case_entries.append(self.append("case.updated", case=self.case_id))
        for _ in range(300):
            self.append("admin.signed_in")

    def checkpoint(self, size: int | None = None, *, cosigned: bool = True) -> bytes:
        size = len(self.entries) if size is None else size
        text = f"{ORIGIN}\n{size}\n{b64(root([leaf(entry) for entry in self.entries[:size]]))}\n"
        at = int(self.clock.timestamp())
        witnesses = [key.line(text, at=at) for key in self.witnesses] if cosigned else []
        return "".join((text, "\n", self.log.line(text), *witnesses)).encode()

    def proof(self, index: int, note: bytes) -> bytes:
        size = int(note.split(b"\n")[1])
        hashes = path(index, [leaf(entry) for entry in self.entries[:size]])
        lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(b64(each) for each in hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + note

    def trust(self, *, quorum: bool = True, roots: bool = True) -> bytes:
        lines = [f"log {self.log.vkey}", f"receipt {self.receipt.vkey}"]
        if quorum:
            lines += [f"witness w{n} {key.vkey}" for n, key in enumerate(self.witnesses)]
            lines += ["group both all w0 w1", "quorum both"]
        if roots:
            lines.append(f"root sha256:{hashlib.sha256(self.root.public_bytes(Encoding.DER)).hexdigest()}")
        return "".join(f"{line}\n" for line in lines).encode()

    def mirror(self, folder: Path) -> Path:
        """Write the entry bundles as the log's tiles hold them. Source: C2SP tlog-tiles."""
        size = len(self.entries)
        (folder / "tile" / "entries").mkdir(parents=True)
        (folder / "checkpoint").write_bytes(self.checkpoint())
        for number in range((size + 255) // 256):
            part = self.entries[number * 256 : number * 256 + 256]
            raw = b"".join(len(entry).to_bytes(2, "big") + entry for entry in part)
            place = folder / "tile" / "entries" / f"{number:03}"
            if len(part) < 256:
                place = place.with_name(f"{number:03}.p") / str(len(part))
                place.parent.mkdir()
            place.write_bytes(raw)
        return folder

    # -- signatures --

    def sign(self, content: bytes) -> bytes:
        return self.signer.sign_detached(content)

    def stamp(self, content: bytes) -> bytes:
        """Return an RFC 3161 response over `content`, made by `openssl ts`."""
        return self.tsa.answer(hashlib.sha256(content).digest())

    # -- a package --

    def package(self, to: Path) -> Path:
        """Write the package of the case into the folder `to`, which appears."""
        made = to / "data"
        note = self.checkpoint()
        objects, about = [], set(self.case_entries)
        for each in self.objects:
            digests = {name: hashlib.new(name, each["content"]).hexdigest() for name in ("sha256", "sha512")}
            if each["kind"] == "item":
                relative = f"data/evidence/{each['id']}/original/{each['name']}"
            else:
                relative = f"data/records/{each['id']}/original/{each['name']}"
            _write(to / relative, each["content"])
            _write(to / Path(relative).parents[1] / "metadata" / "manifest.json", canonical_json(digests))
            _write(made / "metadata" / f"{each['id']}.xml", f"<item id='{each['id']}'/>\n".encode())
            about.update(each["entries"])
            objects.append(
                {
                    "id": each["id"], "kind": each["kind"], "name": each["name"], "path": relative,
                    "size": len(each["content"]), **digests, "received": "2026-11-01T08:00:00.000000Z",
                    "method": "dock", "entries": each["entries"],
                }
            )  # fmt: skip
        small = self.random.randbytes(4_000)
        rendition = f"data/renditions/{objects[0]['id']}/playable.mp4"
        _write(to / rendition, small)
        size, head = note.split(b"\n")[1:3]
        case = {
            "v": 1, "package": self.uuid(), "made": "2026-11-29T08:00:00.000000Z", "made_by": self.uuid(),
            "origin": ORIGIN, "organisation": "某局",
            "case": {"id": self.case_id, "number": "A-1", "title": "案", "category": "x", "opened": "2026-11-01",
                     "subject": {"id": self.uuid(), "kind": "organisation", "name": "某公司"}, "acts": []},
            "objects": objects,
            "renditions": [{"object": objects[0]["id"], "kind": "playable", "path": rendition, "size": len(small),
                            "sha256": hashlib.sha256(small).hexdigest(), "recipe": "remux"}],
            "entries": sorted(about),
            "checkpoint": {"size": int(size), "root": base64.b64decode(head).hex(), "issued": "2026-11-29T07:59:59.000000Z"},
        }  # fmt: skip
        _write(made / "case.json", canonical_json(case))
        _write(made / "list.pdf", b"%PDF-1.7\n% the list\n%%EOF\n")
        _write(made / "events" / "premis.xml", b"<premis/>\n")
        _write(to / "proofs" / "checkpoint", note)
        for index in sorted(about):
            _write(to / "proofs" / "entries" / f"{index}.json", self.entries[index])
            _write(to / "proofs" / f"{index}.tlog-proof", self.proof(index, note))
            _write(to / "proofs" / "details" / f"{index}.json", self.details[index])
        anchor = self.checkpoint(len(self.entries) - 7, cosigned=False)
        _write(to / "proofs" / "anchors" / f"{len(self.entries) - 7}.ckpt", anchor)
        _write(to / "proofs" / "anchors" / f"{len(self.entries) - 7}.tsr", self.stamp(anchor))
        _write(to / "proofs" / "trust.txt", self.trust())
        _write(to / "certs" / "chain.pem", self.root.public_bytes(Encoding.PEM))
        _write(to / "crls" / "root.crl", self.crl())
        _write(to / "VERIFY.txt", b"sha256sum -c manifest-sha256.txt\n")
        self.seal(to)
        return to

    def crl(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=self.root.subject, last_update=self.clock - timedelta(hours=1),
            next_update=self.clock + timedelta(days=30),
        )  # fmt: skip
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self.root_key, hashes.SHA256()).public_bytes(Encoding.DER)

    def seal(self, to: Path, *, sign: bool = True) -> None:
        """Make a bag of the files in `to`; see `seal`."""
        seal(to, sign=self.sign if sign else None, stamp=self.stamp)


class OpenSslTsa:
    """A timestamp authority that is nothing but the program openssl."""

    def __init__(self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.folder = folder
        (folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_TSA_CONFIG.format(folder=folder))

    def answer(self, imprint: bytes, *more: str) -> bytes:
        """Return the RFC 3161 response over a SHA-256."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            query, reply = (Path(scratch) / name for name in ("query", "reply"))
            ask = ["openssl", "ts", "-query", "-digest", imprint.hex(), "-sha256", "-cert", "-no_nonce", "-out", query]
            answer = ["openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf", "-section", "one", *more]
            for command in (ask, [*answer, "-queryfile", query, "-out", reply]):
                subprocess.run(command, check=True, capture_output=True)
            return reply.read_bytes()

    def token(self, imprint: bytes) -> bytes:
        """Return the bare token over a SHA-256."""
        return self.answer(imprint, "-token_out")


def seal(to: Path, *, sign: Callable[[bytes], bytes] | None, stamp: Callable[[bytes], bytes]) -> None:
    """Write what makes a bag of the files in `to`: manifests, tag manifests and, if wanted, signatures and tokens.

    Tests call it again after a change, with `sign` to make a package that only the content can give away.
    """
    shutil.rmtree(to / "sig", ignore_errors=True)
    for name in ("sha256", "sha512"):
        (to / f"manifest-{name}.txt").unlink(missing_ok=True)
        (to / f"tagmanifest-{name}.txt").unlink(missing_ok=True)
    _write(to / "bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    if not (to / "bag-info.txt").exists():
        _write(to / "bag-info.txt", b"Bagging-Date: 2026-11-29\n")
    payload = sorted(_files(to / "data", to))
    for name in ("sha256", "sha512"):
        _write(to / f"manifest-{name}.txt", _manifest(to, payload, name))
    tags = sorted(set(_files(to, to)) - set(payload) - {"tagmanifest-sha256.txt", "tagmanifest-sha512.txt"})
    for name in ("sha256", "sha512"):
        _write(to / f"tagmanifest-{name}.txt", _manifest(to, tags, name))
    if sign is not None:
        for name in ("sha256", "sha512"):
            signature = sign((to / f"tagmanifest-{name}.txt").read_bytes())
            _write(to / "sig" / f"tagmanifest-{name}.txt.p7s", signature)
            _write(to / "sig" / f"tagmanifest-{name}.txt.p7s.tsr", stamp(signature))


@functools.lru_cache(maxsize=4)
def _house(seed: int) -> House:
    return House(seed, Path(tempfile.mkdtemp(prefix="liuhen-house-")))


def _write(place: Path, raw: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(raw)


def _files(folder: Path, base: Path) -> list[str]:
    found = []
    for place, _, names in os.walk(folder):
        found += [(Path(place) / name).relative_to(base).as_posix() for name in names]
    return found


def _manifest(base: Path, paths: list[str], algorithm: str) -> bytes:
    lines = []
    for each in paths:
        with (base / each).open("rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        lines.append(f"{digest}  {each.replace('%', '%25')}\n")
    return "".join(lines).encode()
