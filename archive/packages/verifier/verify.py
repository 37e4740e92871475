#!/usr/bin/env python3
"""Check a case package: offline, with nothing but Python 3.9 or newer and, for certificates, the program openssl.

    python3 -I verify.py [FOLDER] [--key TRUST] [--log FOLDER] [--json] [--lang zh|en]

FOLDER is the package; without it, the folder that this file lies in. TRUST is the archive's trust file, got from
elsewhere than from the package. The folder after --log holds a copy of the archive's published log with its entries.
Nothing is written, nothing is fetched.

Exit code 0: valid. 1: invalid. 2: indeterminate, something could not be checked. 64 and above: it could not be run.

One file on purpose, and without any package: whoever gets a case can read all that judges it. What it does is written
down in docs/formats/case-package.md; `liuhen verify` and verify.html do the same and say the same.
"""

# The folder of this file is first in the search path, and it may be a package that somebody tampered with.
import sys

if __name__ == "__main__" and not sys.flags.isolated:
    sys.path.pop(0)

import argparse
import base64
import datetime
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Callable, NamedTuple, NoReturn, Optional, cast

VALID, INVALID, INDETERMINATE = "valid", "invalid", "indeterminate"
EXIT = {VALID: 0, INVALID: 1, INDETERMINATE: 2}

MANIFESTS = ("manifest-sha256.txt", "manifest-sha512.txt")
TAG_MANIFESTS = ("tagmanifest-sha256.txt", "tagmanifest-sha512.txt")
SIGNED = {f"sig/{name}.p7s{more}" for name in TAG_MANIFESTS for more in ("", ".tsr")}
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
HEX_SIZES = {"sha256": 64, "sha512": 128}

MIB = 1 << 20
MOST_TEXT = 256 * MIB
MOST_ENTRY = 65_535
MOST_NOTE = MIB
MOST_PROOF = MOST_NOTE + 256 * 1024
MOST_DETAIL = MIB
MOST_SIGNATURE = 64 * 1024
MOST_TRUST = 256 * 1024
MOST_FILES = 1_000_000
MOST_DEPTH = 64
MOST_CERTIFICATES = 32
BLOCK = MIB
CLOCKS_DIFFER = datetime.timedelta(minutes=5)

# Code: English, Chinese. verify.html holds the same table; the first word of a line is what other programs read.
TEXTS = {
    "package.structure_valid": ("The folder is a plain BagIt bag.", "文件夹是结构完好的 BagIt 包。"),
    "package.fetch_refused": ("The package asks to fetch files from elsewhere.", "包要求从别处下载文件，不予接受。"),
    "package.path_refused": ("A path leaves the package or is not a plain file.", "路径越出包外，或不是普通文件。"),
    "package.link_refused": ("A link stands where a file should.", "此处是链接，不是文件。"),
    "package.name_clash": ("Two names differ only in case or normalisation.", "两个名称仅大小写或 Unicode 规范化不同。"),
    "package.not_a_bag": ("A file that makes a BagIt bag is missing or wrong.", "缺少 BagIt 包必需的文件，或其内容不对。"),
    "package.malformed": ("The file is not in its prescribed form.", "文件不符合规定的格式。"),
    "package.file_valid": ("Both digests are the listed ones.", "两个校验值均与清单一致。"),
    "package.file_altered": ("The file is not the one that is listed.", "文件与清单所列不符，已被改动。"),
    "package.file_missing": ("The file is listed and not there.", "清单列有此文件，但文件不存在。"),
    "package.file_extra": ("The file is there and not listed.", "文件存在，但清单未列。"),
    "package.manifests_differ": ("One manifest lists the file, the other does not.", "两份清单中只有一份列有此文件。"),
    "package.signature_missing": ("The signature is missing.", "缺少签名。"),
    "signature.valid": ("Signed by a certificate under a pinned root.", "签名有效，证书由所信任的根签发。"),
    "signature.malformed": ("The signature file is not in its strict form.", "签名文件不符合严格格式。"),
    "signature.algorithm_refused": ("The signature uses an algorithm that is refused.", "签名使用了不被接受的算法。"),
    "signature.value_mismatch": ("The signature was not made with the signer's key.", "签名并非由签名者的密钥作出。"),
    "signature.digest_mismatch": ("The content is not the one that was signed.", "内容与签名时不同。"),
    "signature.certificate_mismatch": ("The certificate is not the one signed along.", "证书不是签名时所用的证书。"),
    "signature.certificate_forged": ("The certificate names a root that did not issue it.", "证书所称的签发者并未签发它。"),
    "signature.key_usage": ("The certificate is not for signing documents.", "证书不是用于文件签名的。"),
    "signature.outside_validity": ("The claimed time is outside the certificate's validity.", "所称签名时间不在证书有效期内。"),
    "signature.time_ahead": ("The claimed time is later than the time that is proven.", "所称签名时间晚于已证明的时间。"),
    "signature.untrusted": ("Intact, but the signer leads to no pinned root.", "签名完好，但签名者不属于所信任的根。"),
    "signature.certificate_expired": ("The certificate has ended; nothing shows that the signature is older.",
                                      "证书已过期，且无法证明签名在此之前作出。"),
    "signature.not_checked": ("The signature was not checked.", "签名未经检查。"),
    "package.timestamp_missing": ("The timestamp is missing.", "缺少时间戳。"),
    "timestamp.valid": ("The timestamp holds.", "时间戳有效。"),
    "timestamp.malformed": ("The timestamp is not in its strict form.", "时间戳不符合严格格式。"),
    "timestamp.invalid": ("The timestamp does not hold for this file.", "时间戳对此文件不成立。"),
    "timestamp.untrusted": ("Intact, but its authority leads to no pinned root.", "时间戳完好，但其机构不属于所信任的根。"),
    "timestamp.not_checked": ("The timestamp was not checked.", "时间戳未经检查。"),
    "package.object_valid": ("Case, manifests, log entry and file say the same.", "案件清单、校验清单、日志条目与文件一致。"),
    "package.object_differs": ("Case, manifests, log entry and file do not say the same.",
                               "案件清单、校验清单、日志条目与文件不一致。"),
    "proof.inclusion_valid": ("The entry is in the log at its place.", "条目确在日志中的该位置。"),
    "proof.inclusion_invalid": ("The entry is not in the log at this place.", "条目不在日志中的该位置。"),
    "proof.malformed": ("The proof is not in its prescribed form.", "证明文件不符合规定的格式。"),
    "proof.missing": ("The proof of the entry is missing.", "缺少该条目的证明。"),
    "proof.checkpoint_differs": ("The proof leads to another checkpoint than the package's.", "证明所指的检查点与本包不同。"),
    "entry.malformed": ("The log entry is not in its prescribed form.", "日志条目不符合规定的格式。"),
    "entry.detail_differs": ("The detail is not the one that the entry commits to.", "细节与日志条目所承诺的不符。"),
    "checkpoint.signature_valid": ("The pinned log key has signed the checkpoint.", "检查点由所信任的日志密钥签名。"),
    "checkpoint.signature_invalid": ("A signature of a pinned key on the checkpoint does not verify.",
                                     "检查点上所信任密钥的签名不成立。"),
    "checkpoint.signer_unknown": ("No pinned log key has signed the checkpoint.", "检查点没有所信任日志密钥的签名。"),
    "checkpoint.signer_not_established": ("Consistent, signer not established: no key from outside was given.",
                                          "内容一致，但签名者未确认：没有给出包外的密钥。"),
    "checkpoint.malformed": ("The checkpoint is missing or not in its prescribed form.", "缺少检查点，或其不符合规定的格式。"),
    "checkpoint.quorum_valid": ("Enough pinned witnesses have cosigned.", "有足够多所信任的见证者联署。"),
    "checkpoint.quorum_missing": ("Not enough pinned witnesses have cosigned.", "所信任的见证者联署不足。"),
    "checkpoint.quorum_not_checked": ("The quorum rests on ML-DSA-44 cosignatures, which are not checked here.",
                                      "法定见证数取决于 ML-DSA-44 联署，此处无法检查。"),
    "checkpoint.no_quorum_asked": ("No witnesses were asked for.", "没有要求见证者联署。"),
    "anchor.valid": ("The checkpoint was there at the time of its timestamp.", "该检查点在时间戳所示时间已存在。"),
    "anchor.invalid": ("The anchor does not hold.", "时间锚不成立。"),
    "anchor.not_checked": ("The anchor was not checked against a pinned key and root.", "时间锚未对照所信任的密钥和根检查。"),
    "package.complete": ("All entries of the log about the case are here.", "日志中有关本案的条目全部在此。"),
    "package.entry_missing": ("An entry of the log about the case is missing.", "缺少日志中有关本案的一个条目。"),
    "package.completeness_not_checked": ("Whether entries are missing was not checked.", "是否缺少条目，未经检查。"),
}  # fmt: skip


class Finding(NamedTuple):
    """One thing that a check established; `where` names the file."""

    code: str
    outcome: str
    where: str
    detail: str = ""

    def said(self, chinese: bool) -> str:
        """Return the sentence in one language."""
        text = TEXTS[self.code][1 if chinese else 0]
        return f"{text} ({self.detail})" if self.detail else text


class CannotRun(Exception):
    """The check cannot be made at all: what was given is not there or not readable."""

    def __init__(self, message: str, code: int = 66) -> None:
        """Keep the exit code."""
        super().__init__(message)
        self.code = code


class Malformed(Exception):
    """Bytes are not in the form that they must have."""


class Refused(Malformed):
    """An algorithm is not on the list."""


class NotChecked(Exception):
    """A check could not be made here."""


def worst(outcomes: Iterable[str]) -> str:
    """Return the outcome of the whole; nothing checked is indeterminate."""
    seen = set(outcomes)
    if INVALID in seen:
        return INVALID
    return INDETERMINATE if INDETERMINATE in seen or not seen else VALID


def demand(holds: bool, message: str) -> None:
    """Raise Malformed unless it holds."""
    if not holds:
        raise Malformed(message)


# ---- canonical JSON (RFC 8785, without floats) --------------------------------------------------------------------


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    demand(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)


def _no_float(text: str) -> NoReturn:
    raise Malformed(f"{text[:40]} is not an integer")


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        }
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    demand(not isinstance(value, int) or abs(value) <= 2**53 - 1, "an integer is too large")
    return value


def canonical(value: Any) -> bytes:
    """Return the one encoding of a value."""
    try:
        return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise Malformed("no canonical form") from exc


def parse_canonical(raw: bytes) -> Any:
    """Return the value whose canonical encoding is exactly `raw`. Raises: Malformed."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_pairs, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as exc:
        raise Malformed("not JSON") from exc
    demand(canonical(value) == raw, "not canonical JSON")
    return value


# ---- DER (X.690), strictly ------------------------------------------------------------------------------------------

INTEGER, BITS, OCTETS, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31
UTC_TIME, GENERAL_TIME, EXPLICIT_0, EXPLICIT_3 = 0x17, 0x18, 0xA0, 0xA3
NULL = b"\x05\x00"


def _header(raw: bytes) -> int:
    demand(len(raw) >= 2 and raw[1] not in (0x80, 0xFF), "a length is missing or indefinite")
    size = 2 if raw[1] < 0x80 else 2 + (raw[1] & 0x7F)
    demand(size <= min(len(raw), 6), "a length is cut off or too large")
    return size


class Reader:
    """Reads one element after the other; whatever is not as expected raises Malformed."""

    def __init__(self, contents: bytes) -> None:
        """Stand before the first element."""
        self.rest = contents

    def take_whole(self, tag: Optional[int] = None) -> bytes:
        """Return the next element with tag and length."""
        rest = self.rest
        demand(bool(rest) and (tag is None or rest[0] == tag), "another element is expected")
        start = _header(rest)
        size = rest[1] if start == 2 else int.from_bytes(rest[2:start], "big")
        demand(start == 2 or (size >= 0x80 and rest[2] != 0), "a length is not in its shortest form")
        demand(start + size <= len(rest), "an element ends after its container")
        self.rest = rest[start + size :]
        return rest[: start + size]

    def take(self, tag: int) -> bytes:
        """Return the contents of the next element."""
        whole = self.take_whole(tag)
        return whole[_header(whole) :]

    def enter(self, tag: int) -> "Reader":
        """Return a reader for the contents of the next element."""
        return Reader(self.take(tag))

    def before(self, tag: int) -> bool:
        """Return whether the next element has this tag."""
        return self.rest[:1] == bytes([tag])

    def end(self) -> None:
        """Demand that nothing follows."""
        demand(not self.rest, "something follows where nothing may")


def element(tag: int, *contents: bytes) -> bytes:
    """Return an element around `contents`."""
    body = b"".join(contents)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*contents: bytes) -> bytes:
    """Return a SEQUENCE."""
    return element(SEQUENCE, *contents)


def set_of(*contents: bytes) -> bytes:
    """Return a SET OF, in DER's order."""
    return element(SET, *sorted(contents))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    body = b""
    for arc in (first * 40 + second, *others):
        groups = [arc & 0x7F]
        while arc >> 7:
            arc >>= 7
            groups.append(0x80 | arc & 0x7F)
        body += bytes(reversed(groups))
    return element(OID, body)


VERSION_1, VERSION_3 = element(INTEGER, b"\1"), element(INTEGER, b"\3")
DATA, SIGNED_DATA = oid("1.2.840.113549.1.7.1"), oid("1.2.840.113549.1.7.2")
TST_INFO = oid("1.2.840.113549.1.9.16.1.4")
CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME = (oid(f"1.2.840.113549.1.9.{n}") for n in (3, 4, 5))
CERTIFICATE_V2 = oid("1.2.840.113549.1.9.16.2.47")
HASHES = {name: oid(f"2.16.840.1.101.3.4.2.{n}") for n, name in ((1, "sha256"), (2, "sha384"), (3, "sha512"))}
DIGEST_ALGORITHMS = {sequence(each, *more): name for name, each in HASHES.items() for more in ((), (NULL,))}
ECDSA = {name: sequence(oid(f"1.2.840.10045.4.3.{n}")) for n, name in ((2, "sha256"), (3, "sha384"), (4, "sha512"))}
RSA = {
    name: sequence(oid(f"1.2.840.113549.1.1.{n}"), NULL) for n, name in ((11, "sha256"), (12, "sha384"), (13, "sha512"))
}
RSA_BARE = sequence(oid("1.2.840.113549.1.1.1"), NULL)
EC_KEYS = {
    sequence(oid("1.2.840.10045.2.1"), oid(curve)) for curve in ("1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35")
}
RSA_KEY = sequence(oid("1.2.840.113549.1.1.1"), NULL)
KEY_USAGE, BASIC, EXTENDED = oid("2.5.29.15"), oid("2.5.29.19"), oid("2.5.29.37")
SUBJECT_KEY, AUTHORITY_KEY = oid("2.5.29.14"), oid("2.5.29.35")
UNDERSTOOD = {KEY_USAGE, BASIC, EXTENDED, SUBJECT_KEY, AUTHORITY_KEY, oid("2.5.29.17"), oid("2.5.29.32")}
FOR_DOCUMENTS = {oid("1.3.6.1.5.5.7.3.4"), oid("1.3.6.1.5.5.7.3.36")}
FOR_TIME = oid("1.3.6.1.5.5.7.3.8")


def parse_time(raw: bytes) -> datetime.datetime:
    """Return the time of an UTCTime or GeneralizedTime in its one form (RFC 5280 section 4.1.2.5)."""
    reader = Reader(raw)
    if reader.before(UTC_TIME):
        text = reader.take(UTC_TIME)
        text = (b"20" if text < b"50" else b"19") + text
    else:
        text = reader.take(GENERAL_TIME)
    reader.end()
    demand(re.fullmatch(rb"[0-9]{14}Z", text) is not None, "a time is not in its one form")
    demand((b"1950" <= text[:4] < b"2050") == (raw[0] == UTC_TIME), "a time is not in its one form")
    return instant(text[:14].decode())


def instant(digits: str) -> datetime.datetime:
    """Return the time that 14 digits say. Raises: Malformed."""
    try:
        return datetime.datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError as exc:
        raise Malformed("a time is none") from exc


# ---- certificates (RFC 5280) ----------------------------------------------------------------------------------------


class Certificate:
    """What is needed of a certificate. Raises: Malformed."""

    def __init__(self, raw: bytes) -> None:
        """Take it apart."""
        self.raw = raw
        self.digest = hashlib.sha256(raw).digest()
        outer = Reader(raw)
        certificate = outer.enter(SEQUENCE)
        outer.end()
        self.signed = certificate.take_whole(SEQUENCE)
        self.algorithm = certificate.take_whole(SEQUENCE)
        bits = certificate.take(BITS)
        certificate.end()
        demand(bits[:1] == b"\0", "a signature is not whole bytes")
        self.signature = bits[1:]
        part = Reader(self.signed).enter(SEQUENCE)
        demand(
            part.take_whole(EXPLICIT_0) == element(EXPLICIT_0, element(INTEGER, b"\2")), "not a version 3 certificate"
        )
        self.serial = part.take_whole(INTEGER)
        demand(part.take_whole(SEQUENCE) == self.algorithm, "two algorithms")
        self.issuer = part.take_whole(SEQUENCE)
        times = part.enter(SEQUENCE)
        self.begins, self.ends = parse_time(times.take_whole()), parse_time(times.take_whole())
        times.end()
        self.subject = part.take_whole(SEQUENCE)
        self.key = part.take_whole(SEQUENCE)
        self.extensions = _extensions(part)

    def covers(self, at: datetime.datetime) -> bool:
        """Return whether it is valid at that time."""
        return self.begins <= at <= self.ends

    def usage(self) -> set[int]:
        """Return the numbers of the bits of the key usage."""
        if KEY_USAGE not in self.extensions:
            return set()
        bits = Reader(self.extensions[KEY_USAGE][1]).take(BITS)
        return {n * 8 + bit for n, byte in enumerate(bits[1:]) for bit in range(8) if byte & (0x80 >> bit)}

    def purposes(self) -> Optional[list[bytes]]:
        """Return the extended key usages; None where there is no such extension."""
        if EXTENDED not in self.extensions:
            return None
        reader, found = Reader(self.extensions[EXTENDED][1]).enter(SEQUENCE), []
        while reader.rest:
            found.append(reader.take_whole(OID))
        return found

    def authority(self) -> Optional[int]:
        """Return how many more authorities may stand under this one; None if it is no authority at all."""
        if BASIC not in self.extensions:
            return None
        reader = Reader(self.extensions[BASIC][1]).enter(SEQUENCE)
        if not reader.before(0x01) or reader.take(0x01) != b"\xff":
            return None
        if KEY_USAGE in self.extensions and 5 not in self.usage():
            return None
        return int.from_bytes(reader.take(INTEGER), "big") if reader.rest else MOST_DEPTH

    def is_understood(self) -> bool:
        """Return whether no critical extension is unknown here."""
        return all(kind in UNDERSTOOD for kind, (critical, _) in self.extensions.items() if critical)

    def key_names(self) -> tuple[Optional[bytes], Optional[bytes]]:
        """Return the identifiers of its own key and of its issuer's, where it has them."""
        own = Reader(self.extensions[SUBJECT_KEY][1]).take(OCTETS) if SUBJECT_KEY in self.extensions else None
        issuer = None
        if AUTHORITY_KEY in self.extensions:
            reader = Reader(self.extensions[AUTHORITY_KEY][1]).enter(SEQUENCE)
            issuer = reader.take(0x80) if reader.before(0x80) else None
        return own, issuer


def _extensions(part: Reader) -> dict[bytes, tuple[bool, bytes]]:
    found: dict[bytes, tuple[bool, bytes]] = {}
    if not part.rest:
        return found
    outer = part.enter(EXPLICIT_3)
    part.end()
    reader = outer.enter(SEQUENCE)
    outer.end()
    while reader.rest:
        one = reader.enter(SEQUENCE)
        kind = one.take_whole(OID)
        critical = one.before(0x01) and one.take(0x01) == b"\xff"
        demand(kind not in found, "an extension stands twice")
        found[kind] = (critical, one.take(OCTETS))
        one.end()
    return found


def parse_pem(raw: bytes) -> list[Certificate]:
    """Return the certificates of a PEM file. Raises: Malformed."""
    try:
        blocks = re.findall(
            r"-----BEGIN CERTIFICATE-----[ \t\r\n](.*?)-----END CERTIFICATE-----", raw.decode("ascii"), re.DOTALL
        )
        demand(len(blocks) <= MOST_CERTIFICATES, "too many certificates")
        return [Certificate(unbase64(re.sub("[ \t\r\n]", "", block))) for block in blocks]
    except ValueError as exc:
        raise Malformed("not PEM") from exc


def rsa_bits(key: bytes) -> int:
    """Return the size of an RSA modulus."""
    reader = Reader(key).enter(SEQUENCE)
    reader.take_whole(SEQUENCE)
    return int.from_bytes(Reader(reader.take(BITS)[1:]).enter(SEQUENCE).take(INTEGER), "big").bit_length()


def key_kind(key: bytes, least_bits: int) -> str:
    """Return `ecdsa` or `rsa`. Raises: Refused for any other key, and for one that is too weak."""
    algorithm = Reader(key).enter(SEQUENCE).take_whole(SEQUENCE)
    if algorithm in EC_KEYS:
        return "ecdsa"
    if algorithm == RSA_KEY and rsa_bits(key) >= least_bits:
        return "rsa"
    raise Refused("the key is of another kind or too weak")


class OpenSsl:
    """Bare signatures, by the program openssl, which is never taken from the package or from the folder we stand in."""

    def __init__(self, package: str) -> None:
        """Look for the program."""
        path = os.pathsep.join(each for each in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(each))
        found = shutil.which("openssl", path=path)
        inside = [os.path.realpath(each) + os.sep for each in (package, os.getcwd())]
        real = os.path.realpath(found) if found else ""
        self.program = real if real and os.path.isabs(str(found)) and not real.startswith(tuple(inside)) else ""
        self.known: dict[tuple[bytes, ...], bool] = {}

    def verifies(self, key: bytes, hash_name: str, signature: bytes, message: bytes) -> bool:
        """Return whether the signature is this key's (SubjectPublicKeyInfo). Raises: NotChecked without openssl."""
        if not self.program:
            raise NotChecked("openssl is not there")
        asked = (key, hash_name.encode(), signature, message)
        if asked not in self.known:
            self.known[asked] = self._ask(*asked)
        return self.known[asked]

    def _ask(self, key: bytes, hash_name: bytes, signature: bytes, message: bytes) -> bool:
        pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(key) + b"-----END PUBLIC KEY-----\n"
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, name) for name in ("key", "signature", "message")]
            for name, value in zip(names, (pem, signature, message)):
                with open(name, "wb") as file:
                    file.write(value)
            command = [self.program, "dgst", "-" + hash_name.decode(), "-verify", names[0], "-signature", *names[1:]]
            try:
                return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
            except (OSError, subprocess.TimeoutExpired) as exc:
                raise NotChecked("openssl does not run") from exc


class Chains:
    """Who issued whom, up to the pinned roots."""

    def __init__(
        self, pool: list[Certificate], pinned: set[bytes], openssl: OpenSsl, for_time: Optional[set[bytes]] = None
    ) -> None:
        """Hold the certificates at hand and the SHA-256 digests of the roots that are trusted, and for times only."""
        self.pool, self.pinned, self.openssl, self.for_time = pool, pinned, openssl, for_time or set()

    def reaches_for_time(self, certificate: Certificate, at: datetime.datetime) -> bool:
        """Return whether a chain leads to a root that is pinned, be it for times only."""
        return Chains(self.pool, self.pinned | self.for_time, self.openssl).reaches(certificate, at)

    def is_issued_by(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Return whether name and key of `issuer` stand behind `certificate`."""
        for hash_name in HASHES:
            if certificate.algorithm in (ECDSA[hash_name], RSA[hash_name]) and certificate.issuer == issuer.subject:
                kind = "ecdsa" if certificate.algorithm == ECDSA[hash_name] else "rsa"
                try:
                    fits = key_kind(issuer.key, 2048) == kind
                except Malformed:
                    return False
                return fits and self.openssl.verifies(issuer.key, hash_name, certificate.signature, certificate.signed)
        return False

    def is_forged(self, certificate: Certificate) -> bool:
        """Return whether it names issuers that are here, none of which issued it."""
        wanted = certificate.key_names()[1]
        named = [
            each
            for each in self.pool
            if each.subject == certificate.issuer and (wanted is None or wanted == each.key_names()[0])
        ]
        return bool(named) and not any(self.is_issued_by(certificate, each) for each in named)

    def reaches(self, certificate: Certificate, at: datetime.datetime) -> bool:
        """Return whether a chain that is valid at that time leads to a pinned root."""
        return self._reaches(certificate, at, 0, set())

    def _reaches(
        self, certificate: Certificate, at: datetime.datetime, below: int, seen: set[tuple[bytes, int]]
    ) -> bool:
        # What was in vain at this height once need not be tried again: certificates can be made to issue each other.
        if (certificate.digest, below) in seen or not certificate.covers(at) or not certificate.is_understood():
            return False
        seen.add((certificate.digest, below))
        for issuer in self.pool:
            room = issuer.authority()
            if room is None or room < below or not issuer.covers(at) or not issuer.is_understood():
                continue
            if issuer.raw != certificate.raw and self.is_issued_by(certificate, issuer):
                if issuer.digest in self.pinned or (below < 4 and self._reaches(issuer, at, below + 1, seen)):
                    return True
        return False


# ---- signatures over manifests (RFC 5652, CAdES B-B) and timestamps (RFC 3161) --------------------------------------


def issuer_and_serial(certificate: bytes) -> bytes:
    """Return the IssuerAndSerialNumber that names a certificate."""
    part = Reader(certificate).enter(SEQUENCE).enter(SEQUENCE)
    if part.before(EXPLICIT_0):
        part.take(EXPLICIT_0)
    serial = part.take_whole(INTEGER)
    part.take(SEQUENCE)
    return sequence(part.take_whole(SEQUENCE), serial)


def references(certificate: bytes) -> set[bytes]:
    """Return every ESSCertIDv2 that names this one certificate (RFC 5035)."""
    issuer, serial = Reader(issuer_and_serial(certificate)).enter(SEQUENCE), b""
    name = issuer.take_whole(SEQUENCE)
    serial = issuer.take_whole(INTEGER)
    found = set()
    for hash_name, kind in HASHES.items():
        start = b"" if hash_name == "sha256" else sequence(kind)
        start += element(OCTETS, hashlib.new(hash_name, certificate).digest())
        found |= {sequence(start), sequence(start, sequence(sequence(element(0xA4, name)), serial))}
    return found


def signature_kind(identifier: bytes, hash_name: str) -> str:
    """Return `ecdsa` or `rsa`. Raises: Refused."""
    if identifier == ECDSA[hash_name]:
        return "ecdsa"
    if identifier in (RSA[hash_name], RSA_BARE):
        return "rsa"
    raise Refused("the signature algorithm is not on the list")


class Signed(NamedTuple):
    """The parts of a signature that were taken apart; put together again they gave the same bytes."""

    certificate: bytes
    hash_name: str
    kind: str
    attributes: bytes
    found: dict[bytes, bytes]
    signature: bytes

    def content_digest(self) -> bytes:
        """Return the digest of the content that was signed."""
        reader = Reader(self.found[MESSAGE_DIGEST])
        digest = reader.take(OCTETS)
        reader.end()
        return digest


def take_signature(raw: bytes) -> tuple[Signed, datetime.datetime]:
    """Take apart a detached CAdES signature; also return its claimed time. Raises: Malformed, Refused."""
    demand(len(raw) <= MOST_SIGNATURE, "too large")
    outer = Reader(raw).enter(SEQUENCE)
    outer.take(OID)
    data = outer.enter(EXPLICIT_0).enter(SEQUENCE)
    for tag in (INTEGER, SET, SEQUENCE):
        data.take(tag)
    certificate = data.enter(EXPLICIT_0).take_whole(SEQUENCE)
    signer = data.enter(SET).enter(SEQUENCE)
    signer.take(INTEGER)
    signer.take(SEQUENCE)
    digest_algorithm = signer.take_whole(SEQUENCE)
    attributes = element(SET, signer.take(EXPLICIT_0))
    algorithm = signer.take_whole(SEQUENCE)
    signature = signer.take(OCTETS)
    again = sequence(
        VERSION_1,
        issuer_and_serial(certificate),
        digest_algorithm,
        bytes([EXPLICIT_0]) + attributes[1:],
        algorithm,
        element(OCTETS, signature),
    )
    again = sequence(
        VERSION_1, set_of(digest_algorithm), sequence(DATA), element(EXPLICIT_0, certificate), set_of(again)
    )
    demand(sequence(SIGNED_DATA, element(EXPLICIT_0, again)) == raw, "it holds something that is not signed")
    if digest_algorithm not in DIGEST_ALGORITHMS:
        raise Refused("the hash algorithm is not on the list")
    hash_name = DIGEST_ALGORITHMS[digest_algorithm]
    found, reader = {}, Reader(Reader(attributes).take(SET))
    for _ in range(4):
        attribute = reader.enter(SEQUENCE)
        kind = attribute.take_whole(OID)
        found[kind] = attribute.take(SET)
    demand(set(found) == {CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, CERTIFICATE_V2}, "not the four signed attributes")
    again = set_of(*(sequence(kind, element(SET, value)) for kind, value in found.items()))
    demand(again == attributes and found[CONTENT_TYPE] == DATA, "the signed attributes are not in their one form")
    signed = Signed(certificate, hash_name, "", attributes, found, signature)
    signed.content_digest()
    signed = signed._replace(kind=signature_kind(algorithm, hash_name))
    return signed, parse_time(found[SIGNING_TIME])


class Judge:
    """Judges signatures and timestamps of one package, with one set of roots."""

    def __init__(self, chains: Chains, now: datetime.datetime) -> None:
        """Hold the roots and the time of the check."""
        self.chains, self.now = chains, now

    def _demand_value(self, signed: Signed, certificate: Certificate, least_bits: int) -> bool:
        if key_kind(certificate.key, least_bits) != signed.kind:
            return False
        return self.chains.openssl.verifies(certificate.key, signed.hash_name, signed.signature, signed.attributes)

    def signature(self, content: bytes, raw: bytes, at: datetime.datetime) -> tuple[str, str, str]:
        """Return code, outcome and detail for a detached signature, which surely exists since `at`."""
        try:
            signed, claimed = take_signature(raw)
            named = {sequence(sequence(each)) for each in references(signed.certificate)}
            if signed.found[CERTIFICATE_V2] not in named:
                return "signature.certificate_mismatch", INVALID, ""
            certificate = Certificate(signed.certificate)
            key_kind(certificate.key, 3072)
            if hashlib.new(signed.hash_name, content).digest() != signed.content_digest():
                return "signature.digest_mismatch", INVALID, ""
            if not self._demand_value(signed, certificate, 3072):
                return "signature.value_mismatch", INVALID, ""
            return self._signer(certificate, claimed, at)
        except Refused as exc:
            return "signature.algorithm_refused", INVALID, str(exc)
        except Malformed as exc:
            return "signature.malformed", INVALID, str(exc)
        except NotChecked as exc:
            return "signature.not_checked", INDETERMINATE, str(exc)

    def _signer(
        self, certificate: Certificate, claimed: datetime.datetime, at: datetime.datetime
    ) -> tuple[str, str, str]:
        purposes = certificate.purposes()
        if not certificate.usage() & {0, 1} or (purposes is not None and not FOR_DOCUMENTS & set(purposes)):
            return "signature.key_usage", INVALID, ""
        if not certificate.covers(claimed):
            return "signature.outside_validity", INVALID, ""
        if claimed > at + CLOCKS_DIFFER:
            return "signature.time_ahead", INDETERMINATE, ""
        if self.chains.is_forged(certificate):
            return "signature.certificate_forged", INVALID, ""
        if not self.chains.reaches(certificate, claimed):
            return "signature.untrusted", INDETERMINATE, ""
        if not self.chains.reaches(certificate, at):
            return "signature.certificate_expired", INDETERMINATE, ""
        return "signature.valid", VALID, f"{claimed:%Y-%m-%dT%H:%M:%SZ}"

    def timestamp(self, content: bytes, raw: bytes) -> tuple[str, str, str, Optional[datetime.datetime]]:
        """Return code, outcome, detail and time for an RFC 3161 token over `content`."""
        try:
            signed, info, others = take_token(raw)
            at = self._imprint(info, content)
            if at is None or signed.content_digest() != hashlib.new(signed.hash_name, info).digest():
                return "timestamp.invalid", INVALID, "it is of other bytes", None
            first = Reader(signed.found[CERTIFICATE_V2]).enter(SEQUENCE).enter(SEQUENCE).take_whole(SEQUENCE)
            if first not in references(signed.certificate):
                return "timestamp.invalid", INVALID, "another certificate", None
            demand(
                all(each in {one.raw for one in self.chains.pool} for each in others), "a certificate is not in certs/"
            )
            certificate = Certificate(signed.certificate)
            if not self._demand_value(signed, certificate, 2048):
                return "timestamp.invalid", INVALID, "the signature does not verify", None
            if certificate.purposes() != [FOR_TIME] or not certificate.extensions[EXTENDED][0]:
                return "timestamp.invalid", INVALID, "the certificate is not for timestamps", None
            if not certificate.covers(at) or self.chains.is_forged(certificate):
                return "timestamp.invalid", INVALID, "the certificate did not hold then", None
            if not self.chains.reaches_for_time(certificate, at):
                return "timestamp.untrusted", INDETERMINATE, "", at
            return "timestamp.valid", VALID, f"{at:%Y-%m-%dT%H:%M:%SZ}", at
        except Malformed as exc:
            return "timestamp.malformed", INVALID, str(exc), None
        except NotChecked as exc:
            return "timestamp.not_checked", INDETERMINATE, str(exc), None

    def _imprint(self, info: bytes, content: bytes) -> Optional[datetime.datetime]:
        reader = Reader(info).enter(SEQUENCE)
        demand(reader.take_whole(INTEGER) == VERSION_1, "not version 1")
        reader.take(OID)
        imprint = reader.enter(SEQUENCE)
        name = DIGEST_ALGORITHMS.get(imprint.take_whole(SEQUENCE))
        digest = imprint.take(OCTETS)
        imprint.end()
        reader.take(INTEGER)
        text = reader.take(GENERAL_TIME)
        demand(re.fullmatch(rb"[0-9]{14}(\.[0-9]+)?Z", text) is not None, "the time is not in its one form")
        at = instant(text[:14].decode())
        if name is None:
            raise Refused("the hash algorithm is not on the list")
        return at if hashlib.new(name, content).digest() == digest else None


def take_token(raw: bytes) -> tuple[Signed, bytes, list[bytes]]:
    """Take apart an RFC 3161 response, or a token alone: signature, TSTInfo, certificates besides the signer's.

    Raises: Malformed, Refused.
    """
    demand(len(raw) <= MOST_SIGNATURE, "too large")
    whole, token = Reader(raw).enter(SEQUENCE), raw
    if whole.before(SEQUENCE):
        demand(whole.take_whole(SEQUENCE) == sequence(element(INTEGER, b"\0")), "not granted")
        token = whole.take_whole(SEQUENCE)
        demand(sequence(sequence(element(INTEGER, b"\0")), token) == raw, "something is not signed")
    outer = Reader(token).enter(SEQUENCE)
    outer.take(OID)
    data = outer.enter(EXPLICIT_0).enter(SEQUENCE)
    data.take(INTEGER)
    data.take(SET)
    content = data.enter(SEQUENCE)
    content.take(OID)
    info = content.enter(EXPLICIT_0).take(OCTETS)
    held = data.take_whole(EXPLICIT_0)
    certificates, reader = [], Reader(held).enter(EXPLICIT_0)
    while reader.rest:
        certificates.append(reader.take_whole(SEQUENCE))
    signer = data.enter(SET).enter(SEQUENCE)
    signer.take(INTEGER)
    named = signer.take_whole(SEQUENCE)
    digest_algorithm = signer.take_whole(SEQUENCE)
    attributes = element(SET, signer.take(EXPLICIT_0))
    algorithm = signer.take_whole(SEQUENCE)
    signature = signer.take(OCTETS)
    one = sequence(
        VERSION_1, named, digest_algorithm, bytes([EXPLICIT_0]) + attributes[1:], algorithm, element(OCTETS, signature)
    )
    inner = sequence(TST_INFO, element(EXPLICIT_0, element(OCTETS, info)))
    again = sequence(VERSION_3, set_of(digest_algorithm), inner, held, set_of(one))
    demand(sequence(SIGNED_DATA, element(EXPLICIT_0, again)) == token, "it holds something that is not signed")
    own = [each for each in certificates if issuer_and_serial(each) == named]
    demand(len(own) == 1 and len(set(certificates)) == len(certificates), "not the signer's certificate, once")
    if digest_algorithm not in DIGEST_ALGORITHMS:
        raise Refused("the hash algorithm is not on the list")
    hash_name = DIGEST_ALGORITHMS[digest_algorithm]
    found, reader = {}, Reader(Reader(attributes).take(SET))
    while reader.rest:
        attribute = reader.enter(SEQUENCE)
        kind = attribute.take_whole(OID)
        demand(kind not in found, "an attribute stands twice")
        found[kind] = attribute.take(SET)
    demand({CONTENT_TYPE, MESSAGE_DIGEST, CERTIFICATE_V2} <= set(found), "a signed attribute is missing")
    demand(found[CONTENT_TYPE] == TST_INFO, "not a timestamp")
    kind_of = signature_kind(algorithm, hash_name)
    others = [each for each in certificates if each != own[0]]
    return Signed(own[0], hash_name, kind_of, attributes, found, signature), info, others


# ---- Ed25519 (RFC 8032), verification only --------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER_Y = {0, 1, P - 1, P, P + 1, ORDER_8_Y, P - ORDER_8_Y}
Point = tuple[int, int, int, int]


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _decompress(raw: bytes) -> Optional[Point]:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y % P, 1, x * (y % P) % P)


BASE = cast("Point", _decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")))


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the signature is this key's; False also for keys of small order, which sign everything."""
    if len(public) != 32 or len(signature) != 64:
        return False
    if int.from_bytes(public, "little") & (2**255 - 1) in SMALL_ORDER_Y:
        return False
    point, scalar = _decompress(public), int.from_bytes(signature[32:], "little")
    if point is None or scalar >= L:
        return False
    hashed = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus = (P - point[0], point[1], point[2], P - point[3])
    x, y, z, _ = _add(_times(scalar, BASE), _times(hashed, minus))
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ---- notes, checkpoints, proofs (C2SP signed-note, tlog-checkpoint, tlog-proof) --------------------------------------

CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
BLANK = re.compile("[\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


def unbase64(text: str) -> bytes:
    """Return the bytes of canonical base64. Raises: Malformed."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError as exc:
        raise Malformed("not base64") from exc
    demand(base64.b64encode(value).decode() == text, "not canonical base64")
    return value


def decimal(text: str) -> int:
    """Return a number below 2^63 without leading zeros. Raises: Malformed."""
    demand(DECIMAL.fullmatch(text) is not None and int(text) < 2**63, "not a number")
    return int(text)


def is_key_name(name: str) -> bool:
    """Return whether this may name a key."""
    return bool(name) and "+" not in name and not BLANK.search(name) and not CONTROL.search(name)


class Note(NamedTuple):
    """A text with signatures, none of them verified yet: name, key id, signature."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]


class Checkpoint(NamedTuple):
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes


def parse_note(raw: bytes) -> Note:
    """Parse a signed note. Raises: Malformed."""
    demand(len(raw) <= MOST_NOTE, "the note is too long")
    try:
        text, separator, block = raw.decode().rpartition("\n\n")
    except ValueError as exc:
        raise Malformed("not UTF-8") from exc
    demand(bool(separator) and block.endswith("\n"), "no signatures")
    lines, found = block[:-1].split("\n"), []
    demand(len(lines) <= 100 and not CONTROL.search(text), "not a note")
    for line in lines:
        demand(line.startswith("\N{EM DASH} "), "not a signature line")
        name, space, encoded = line[2:].partition(" ")
        value = unbase64(encoded)
        demand(bool(space) and is_key_name(name) and len(value) > 4, "not a signature line")
        found.append((name, value[:4], value[4:]))
    return Note(text + "\n", found)


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a checkpoint. Raises: Malformed."""
    lines = text.split("\n")
    demand(len(lines) >= 4 and not lines[-1] and all(lines[:-1]), "not a checkpoint")
    demand(not any(re.search("[\x00-\x1f]", line) for line in lines), "not a checkpoint")
    size, root = decimal(lines[1]), unbase64(lines[2])
    demand(len(root) == 32 and (size == 0) == (root == hashlib.sha256(b"").digest()), "not the root of a tree")
    return Checkpoint(lines[0], size, root)


class Proof(NamedTuple):
    """The place of an entry: its number, hashes from the leaf up, the checkpoint's note."""

    number: int
    hashes: list[bytes]
    note: Note


def parse_proof(raw: bytes) -> Proof:
    """Parse a tlog-proof. Raises: Malformed."""
    demand(len(raw) <= MOST_PROOF, "the proof is too long")
    head, separator, rest = raw.partition(b"\n\n")
    try:
        lines = head.decode().split("\n")
    except ValueError as exc:
        raise Malformed("not UTF-8") from exc
    demand(bool(separator) and lines[0] == "c2sp.org/tlog-proof@v1", "not a proof")
    del lines[0]
    if lines and lines[0].startswith("extra "):
        demand(unbase64(lines[0][6:]) != b"", "empty extra data")
        del lines[0]
    demand(bool(lines) and lines[0].startswith("index "), "no index")
    index, hashes = decimal(lines[0][6:]), [unbase64(line) for line in lines[1:]]
    demand(len(hashes) <= 63 and all(len(each) == 32 for each in hashes), "a hash is not 32 bytes")
    note = parse_note(rest)
    parse_checkpoint(note.text)
    return Proof(index, hashes, note)


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def is_included(leaf: bytes, index: int, size: int, hashes: list[bytes], root: bytes) -> bool:
    """Return whether the hashes lead from the leaf to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in hashes:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


# ---- the trust file -------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """A public key under a name."""

    name: str
    key_id: bytes
    kind: bytes
    public: bytes


ED25519, COSIGNATURE, ML_DSA, RECEIPT = b"\1", b"\4", b"\6", b"\xffliuhen-receipt/v1"
KINDS = {ED25519: 32, COSIGNATURE: 32, ML_DSA: 1312, RECEIPT: 32}


def parse_vkey(text: str) -> Key:
    """Parse a verifier key (C2SP signed-note). Raises: Malformed."""
    parts = text.split("+", 2)
    demand(len(parts) == 3 and is_key_name(parts[0]), "not a key")
    material = unbase64(parts[2])
    kind = next((known for known in KINDS if material.startswith(known)), material[:1])
    key_id = hashlib.sha256(parts[0].encode() + b"\n" + material).digest()[:4]
    demand(KINDS.get(kind) == len(material) - len(kind) and key_id.hex() == parts[1], "not a key that is known here")
    return Key(parts[0], key_id, kind, material[len(kind) :])


class Trust:
    """What somebody has decided to trust (docs/formats/receipt.md). Raises: Malformed, with the number of the line."""

    def __init__(self, raw: bytes) -> None:
        """Parse the file."""
        self.logs: list[Key] = []
        self.receipts: list[Key] = []
        self.witnesses: dict[str, Key] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        self.members: set[str] = set()
        self.quorum = ""
        self.roots: set[bytes] = set()
        self.timestamp_roots: set[bytes] = set()
        try:
            text = raw.decode()
        except ValueError as exc:
            raise Malformed("not UTF-8") from exc
        demand(len(raw) <= MOST_TRUST and text.endswith("\n"), "too long, or the last line does not end")
        for number, line in enumerate(text.split("\n"), 1):
            words = [word for word in line.replace("\t", " ").split(" ") if word]
            try:
                demand(not re.search("[\x00-\x08\x0a-\x1f]", line), "a control character")
                if words and not words[0].startswith("#"):
                    self._take(words)
            except Malformed as exc:
                raise Malformed(f"line {number}: {exc}") from exc
        self._demand_sound()

    def _demand_sound(self) -> None:
        demand(bool(self.logs), "no log key")
        names = {f"{key.name}/receipt" for key in self.logs}
        demand(all(key.name in names for key in self.receipts), "a receipt key of another log")
        public = [key.public for key in (*self.logs, *self.receipts, *self.witnesses.values())]
        demand(len(set(public)) == len(public), "a public key stands twice")

    def asks_quorum(self) -> bool:
        """Return whether witnesses are asked for at all."""
        return self.quorum not in ("", "none")

    def _is_known(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def _take(self, words: list[str]) -> None:
        if words[0] == "log" and len(words) in (2, 3):
            self.logs.append(parse_vkey(words[1]))
            demand(self.logs[-1].kind in (ED25519, ML_DSA), "not a log key")
        elif words[0] == "receipt" and len(words) == 2:
            self.receipts.append(parse_vkey(words[1]))
            demand(self.receipts[-1].kind == RECEIPT, "not a receipt key")
        elif words[0] == "witness" and len(words) in (3, 4):
            self._demand_new(words[1])
            self.witnesses[words[1]] = parse_vkey(words[2])
            demand(self.witnesses[words[1]].kind in (COSIGNATURE, ML_DSA), "not a witness key")
        elif words[0] == "group" and len(words) > 3:
            self._take_group(words[1], words[2], words[3:])
        elif words[0] == "quorum" and len(words) == 2 and not self.quorum:
            demand(words[1] == "none" or self._is_known(words[1]), "an unknown quorum")
            self.quorum = words[1]
        elif words[0] in ("root", "timestamp-root") and len(words) == 2:
            demand(re.fullmatch("sha256:[0-9a-f]{64}", words[1]) is not None, "not the SHA-256 of a certificate")
            kept = self.roots if words[0] == "root" else self.timestamp_roots
            kept.add(bytes.fromhex(words[1][-64:]))
        else:
            raise Malformed("not a line of a trust file")

    def _demand_new(self, name: str) -> None:
        demand(not self._is_known(name) and name != "none" and not BLANK.search(name), "a name that is taken")
        demand(len(self.witnesses) + len(self.groups) < 256, "more than 256 witnesses and groups")

    def _take_group(self, name: str, need: str, members: list[str]) -> None:
        self._demand_new(name)
        for each in members:
            demand(self._is_known(each) and each not in self.members, "an unknown member, or one of two groups")
            self.members.add(each)
        demand(need in ("any", "all") or re.fullmatch("[1-9][0-9]{0,3}", need) is not None, "not a threshold")
        count = {"any": 1, "all": len(members)}.get(need) or int(need)
        demand(count <= len(members), "a group that nobody can satisfy")
        self.groups[name] = (count, members)

    def has_quorum(self, cosigned: set[str], name: str) -> bool:
        """Return whether the witness or group `name` has cosigned."""
        if name not in self.groups:
            return name in cosigned
        count, members = self.groups[name]
        return sum(self.has_quorum(cosigned, each) for each in members) >= count


def cosignature_verifies(key: Key, signature: bytes, text: str) -> bool:
    """Return whether a timestamped cosignature holds (C2SP tlog-cosignature)."""
    time = int.from_bytes(signature[:8], "big")
    if len(signature) != 72 or time >= 2**63:
        return False
    return ed25519_verifies(key.public, signature[8:], f"cosignature/v1\ntime {time}\n{text}".encode())


def judge_note(note: Note, origin: str, trust: Trust) -> tuple[str, set[str], set[str]]:
    """Return the code for the log's signature, the names of the witnesses that have cosigned, and those that may have.

    Signatures by keys that are not pinned are set aside; one of a pinned key that does not verify spoils the note.
    Those by ML-DSA-44 are not checked here, and never count as made.
    """
    has_signed, may_have_signed, cosigned, may_have_cosigned = False, False, set(), set()
    for name, key_id, signature in note.signatures:
        for key in trust.logs:
            if (key.name, key.key_id) == (name, key_id) and key.name == origin:
                if key.kind == ML_DSA:
                    may_have_signed = True
                elif not ed25519_verifies(key.public, signature, note.text.encode()):
                    return "checkpoint.signature_invalid", set(), set()
                else:
                    has_signed = True
        for label, key in trust.witnesses.items():
            if (key.name, key.key_id) == (name, key_id):
                if key.kind == ML_DSA:
                    may_have_cosigned.add(label)
                elif not cosignature_verifies(key, signature, note.text):
                    return "checkpoint.signature_invalid", set(), set()
                elif any(signature[:8]):
                    cosigned.add(label)
    if has_signed:
        return "checkpoint.signature_valid", cosigned, may_have_cosigned
    code = "checkpoint.signer_not_established" if may_have_signed else "checkpoint.signer_unknown"
    return code, cosigned, may_have_cosigned


# ---- the folder -----------------------------------------------------------------------------------------------------


def is_bad_path(path: str) -> bool:
    """Return whether a path could lead out of the package or is no clean text."""
    if not path or len(path) > 4096 or "\\" in path or re.match("[A-Za-z]:", path):
        return True
    if re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", path):
        return True
    return any(segment in ("", ".", "..") for segment in path.split("/"))


def shown(path: str) -> str:
    """Return a path as it may be printed."""
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda hit: f"\\x{ord(hit[0]):02x}", path[:4096])


def folded(path: str) -> str:
    """Return what is equal for names that some file system cannot tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).lower())


class Folder:
    """The files of a package: path to size. Links are never followed."""

    def __init__(self, place: str) -> None:
        """Walk the folder. Raises: CannotRun."""
        self.place = os.path.realpath(place)
        self.sizes: dict[str, int] = {}
        self.refused: set[str] = set()
        self.findings: list[Finding] = []
        folders = self._walk()
        for path in sorted(self.sizes):
            if path.lower() == "fetch.txt":
                self.findings.append(Finding("package.fetch_refused", INVALID, path))
        self._find_clashes(sorted([*self.sizes, *folders], key=lambda path: path.encode("utf-8", "surrogatepass")))

    def _walk(self) -> list[str]:
        folders, left = [], [""]
        while left:
            here = left.pop()
            try:
                with os.scandir(os.path.join(self.place, here)) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as exc:
                if not here:
                    raise CannotRun(f"{self.place}: {exc.strerror}") from exc
                self._refuse("package.path_refused", here, "it cannot be read")
                continue
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if self._take(path, entry.stat(follow_symlinks=False)):
                    folders.append(path)
                    left.append(path)
            if len(self.sizes) > MOST_FILES or here.count("/") > MOST_DEPTH:
                raise CannotRun("more files or deeper folders than any package has", 65)
        return folders

    def _take(self, path: str, found: os.stat_result) -> bool:
        is_windows_link = bool(
            getattr(found, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
        )
        if stat.S_ISLNK(found.st_mode) or is_windows_link:
            self._refuse("package.link_refused", path, "")
            return False
        if stat.S_ISDIR(found.st_mode):
            if is_bad_path(path):
                self._refuse("package.path_refused", path, "")
                return False
            return True
        if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            self._refuse("package.link_refused", path, "the file has a second name")
        elif not stat.S_ISREG(found.st_mode) or is_bad_path(path):
            self._refuse("package.path_refused", path, "")
        else:
            self.sizes[path] = found.st_size
        return False

    def _refuse(self, code: str, path: str, detail: str) -> None:
        self.refused.add(path)
        self.findings.append(Finding(code, INVALID, shown(path), detail))

    def _find_clashes(self, paths: list[str]) -> None:
        seen: dict[str, str] = {}
        for path in paths:
            other = seen.setdefault(folded(path), path)
            if other != path:
                self.findings.append(Finding("package.name_clash", INVALID, path, other))

    def open(self, path: str) -> Any:
        """Open a file, never through a link."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        return os.fdopen(os.open(os.path.join(self.place, *path.split("/")), flags), "rb", buffering=0)

    def read(self, path: str, most: int) -> bytes:
        """Return a small file. Raises: Malformed when it is larger than `most`, or not there."""
        demand(path in self.sizes, "it is not there")
        demand(self.sizes[path] <= most, "it is too large")
        try:
            with self.open(path) as file:
                parts: list[bytes] = []
                while True:
                    part = file.read(BLOCK)
                    if not part:
                        return b"".join(parts)
                    parts.append(part)
        except OSError as exc:
            raise Malformed("it cannot be read") from exc


class Digests(NamedTuple):
    """Size and digests of a file."""

    size: int
    sha256: str
    sha512: str


class Hashing:
    """Hashes files to their end in one read: SHA-256 in this thread, SHA-512, which is slower, in one beside it."""

    def __init__(self) -> None:
        """Start the thread."""
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._full: SimpleQueue[Any] = SimpleQueue()
        self._idle: SimpleQueue[None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(1)
        self._work = self._pool.submit(self._hash_beside)
        for _ in range(8):
            self._free.put(memoryview(bytearray(BLOCK)))

    def close(self) -> None:
        """End the thread."""
        self._full.put(self)
        self._work.result()
        self._pool.shutdown()

    def digests(self, file: Any) -> Digests:
        """Return the digests of an open file. Raises: OSError."""
        here, beside, size, shared = hashlib.sha256(), hashlib.sha512(), 0, False
        try:
            while True:
                block = self._free.get()
                try:
                    count = file.readinto(block)
                except OSError:
                    count = 0
                    raise
                finally:
                    if not count:
                        self._free.put(block)
                if not count:
                    break
                if count < 65536:  # not worth the other thread, which may be at work on what was before
                    shared = self._wait(shared)
                    beside.update(block[:count])
                    self._free.put(block)
                else:
                    self._full.put((beside, block, count))
                    shared = True
                here.update(block[:count])
                size += count
        finally:
            self._wait(shared)
        return Digests(size, here.hexdigest(), beside.hexdigest())

    def _wait(self, shared: bool) -> bool:
        """Wait until the thread has done all that it was given, if it was given anything; it then has nothing."""
        if shared:
            self._full.put(None)
            self._idle.get()
        return False

    def _hash_beside(self) -> None:
        while True:
            given = self._full.get()
            if given is None:
                self._idle.put(None)
            elif given is self:
                return
            else:
                hasher, block, count = given
                hasher.update(block[:count])
                self._free.put(block)


def parse_manifest(raw: bytes, algorithm: str, belongs: Callable[[str], bool]) -> tuple[dict[str, str], list[str]]:
    """Return digest by path, and the paths that are refused. Raises: Malformed."""
    try:
        lines = raw.decode().split("\n")
    except ValueError as exc:
        raise Malformed("not UTF-8") from exc
    demand(lines[-1] == "", "the last line does not end")
    listed, bad = {}, []
    size = HEX_SIZES[algorithm]
    for number, line in enumerate(lines[:-1], 1):
        digest, path = line[:size], line[size + 2 :]
        demand(
            re.fullmatch(f"[0-9a-f]{{{size}}}", digest) is not None and line[size : size + 2] == "  ", f"line {number}"
        )
        demand(not re.search("%(?!25|0A|0D)", path), f"line {number}")
        path = path.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        if is_bad_path(path):
            bad.append(path)
            continue
        demand(path not in listed and belongs(path), f"line {number}")
        listed[path] = digest
    return listed, bad


# ---- the checks -----------------------------------------------------------------------------------------------------

Progress = Callable[[int, int], None]


class Check:
    """One check of one package. `findings` grows in the order of docs/formats/case-package.md."""

    def __init__(self, place: str, trust: Optional[Trust], now: datetime.datetime) -> None:
        """Walk the folder; all else is done by `run`. Raises: CannotRun."""
        self.folder = Folder(place)
        self.trust, self.now = trust, now
        self.findings = self.folder.findings
        self.digests: dict[str, Digests] = {}
        self.entries: dict[int, dict[str, Any]] = {}
        self.case: Optional[dict[str, Any]] = None
        self.head: Optional[Checkpoint] = None
        self.complete: list[Finding] = []

    def add(self, code: str, outcome: str, where: str, detail: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(code, outcome, shown(where), detail))

    def run(self, log: Optional[str] = None, progress: Optional[Progress] = None) -> None:
        """Make all checks."""
        listed = self._manifests()
        if not self.findings:
            self.add("package.structure_valid", VALID, "")
        self._files(listed, progress)
        chains = self._chains()
        judge = Judge(chains, self.now)
        self._signatures(judge)
        note = self._checkpoint_note()
        self.case = self._case()
        self._entries(note)
        if self.case is not None:
            self._objects(self.case, listed)
        self._checkpoint(note)
        self._anchors(judge)
        self.complete = self._completeness(log)

    # -- 1 and 2: the bag and its files --

    def _manifests(self) -> dict[str, Optional[dict[str, str]]]:
        """Return the listed digests by the name of the manifest; None for one that cannot be read."""
        folder, found = self.folder, cast("dict[str, Optional[dict[str, str]]]", {})
        try:
            bagit = folder.read("bagit.txt", MIB)
        except Malformed:
            bagit = b""
        if bagit != BAGIT:
            self.add("package.not_a_bag", INVALID, "bagit.txt")
        if "bag-info.txt" not in folder.sizes:
            self.add("package.not_a_bag", INVALID, "bag-info.txt")
        for name in (*MANIFESTS, *TAG_MANIFESTS):
            found[name] = None
            if name not in folder.sizes:
                self.add("package.not_a_bag", INVALID, name)
                continue
            belongs = is_payload if name in MANIFESTS else is_tag
            try:
                found[name], bad = parse_manifest(folder.read(name, MOST_TEXT), name.split("-")[1][:6], belongs)
                for path in sorted(set(bad)):
                    self.add("package.path_refused", INVALID, path, name)
            except Malformed as exc:
                self.add("package.malformed", INVALID, name, str(exc))
        return found

    def _files(self, listed: dict[str, Optional[dict[str, str]]], progress: Optional[Progress]) -> None:
        unlisted = {*TAG_MANIFESTS, *SIGNED}
        paths = {path for each in listed.values() if each for path in each}
        paths |= {path for path in self.folder.sizes if path not in unlisted}
        self._hash(sorted(path for path in paths if path in self.folder.sizes), progress)
        for path in sorted(paths):
            names = MANIFESTS if is_payload(path) else TAG_MANIFESTS
            tables = [listed[name] for name in names]
            known = [table.get(path) for table in tables if table is not None]
            if path in self.folder.refused:
                continue
            if known and not any(known):
                self.add("package.file_extra", INVALID, path)
                continue
            if not all(known):
                self.add("package.manifests_differ", INVALID, path)
            if path not in self.folder.sizes:
                self.add("package.file_missing", INVALID, path)
                continue
            digests = self.digests.get(path)
            if digests is None or not all(self._fits(digests, table, path) for table in tables):
                self.add("package.file_altered", INVALID, path)
            elif len(known) == 2 and all(known):
                self.add("package.file_valid", VALID, path)

    @staticmethod
    def _fits(digests: Digests, table: Optional[dict[str, str]], path: str) -> bool:
        return table is None or path not in table or table[path] in (digests.sha256, digests.sha512)

    def _hash(self, paths: list[str], progress: Optional[Progress]) -> None:
        total, done = sum(self.folder.sizes[path] for path in paths), 0
        hashing = Hashing()
        try:
            for path in paths:
                try:
                    with self.folder.open(path) as file:
                        self.digests[path] = hashing.digests(file)
                except OSError:
                    self.digests.pop(path, None)
                done += self.folder.sizes[path]
                if progress:
                    progress(done, total)
        finally:
            hashing.close()

    # -- 3 and 4: signatures and timestamps --

    def _chains(self) -> Chains:
        try:
            pool = parse_pem(self.folder.read("certs/chain.pem", MIB))
        except Malformed as exc:
            pool = []
            if "certs/chain.pem" in self.folder.sizes:
                self.add("package.malformed", INVALID, "certs/chain.pem", str(exc))
        pinned, for_time = (self.trust.roots, self.trust.timestamp_roots) if self.trust else (set(), set())
        return Chains(pool, pinned, OpenSsl(self.folder.place), for_time)

    def _signatures(self, judge: Judge) -> None:
        signatures: list[tuple[str, str, str, str]] = []
        timestamps: list[tuple[str, str, str, str]] = []
        for name in TAG_MANIFESTS:
            where = f"sig/{name}.p7s"
            if where not in self.folder.sizes:
                signatures.append(("package.signature_missing", INVALID, where, ""))
                continue
            try:
                raw = self.folder.read(where, MOST_SIGNATURE)
            except Malformed as exc:
                signatures.append(("signature.malformed", INVALID, where, str(exc)))
                continue
            at = self._timestamp(judge, raw, f"{where}.tsr", timestamps) or self.now
            try:
                content = self.folder.read(name, MOST_TEXT)
            except Malformed as exc:
                signatures.append(("signature.not_checked", INDETERMINATE, where, str(exc)))
                continue
            code, outcome, detail = judge.signature(content, raw, at)
            signatures.append((code, outcome, where, detail))
        for each in (*signatures, *timestamps):
            self.add(*each)

    def _timestamp(
        self, judge: Judge, content: bytes, where: str, found: list[tuple[str, str, str, str]]
    ) -> Optional[datetime.datetime]:
        if where not in self.folder.sizes:
            found.append(("package.timestamp_missing", INVALID, where, ""))
            return None
        try:
            raw = self.folder.read(where, MOST_SIGNATURE)
        except Malformed as exc:
            found.append(("timestamp.malformed", INVALID, where, str(exc)))
            return None
        code, outcome, detail, at = judge.timestamp(content, raw)
        found.append((code, outcome, where, detail))
        return at

    # -- 5: the case and its objects --

    def _case(self) -> Optional[dict[str, Any]]:
        try:
            case = parse_canonical(self.folder.read("data/case.json", MOST_TEXT))
            demand_case(case)
        except Malformed as exc:
            self.add("package.malformed", INVALID, "data/case.json", str(exc))
            return None
        return cast("dict[str, Any]", case)

    def _objects(self, case: dict[str, Any], listed: dict[str, Optional[dict[str, str]]]) -> None:
        head = case["checkpoint"]
        fits = self.head is not None and (head["size"], case["origin"]) == (self.head.size, self.head.origin)
        if not fits or (self.head is not None and head["root"] not in spellings(self.head.root)):
            self.add("package.object_differs", INVALID, "data/case.json", "another checkpoint")
        if any(not set(each["entries"]) <= set(case["entries"]) for each in case["objects"]):
            self.add("package.object_differs", INVALID, "data/case.json", "an entry of an object is not among all")
        for each in case["objects"]:
            reason = self._differs(each, listed) or self._entry_differs(each)
            if reason:
                self.add("package.object_differs", INVALID, each["path"], reason)
            else:
                self.add("package.object_valid", VALID, each["path"])
        for each in case["renditions"]:
            reason = self._differs(each, listed)
            if reason:
                self.add("package.object_differs", INVALID, each["path"], reason)

    def _differs(self, one: dict[str, Any], listed: dict[str, Optional[dict[str, str]]]) -> str:
        path = one["path"]
        if "kind" in one and "id" in one:
            folder = "evidence" if one["kind"] == "item" else "records"
            if not path.startswith(f"data/{folder}/{one['id']}/"):
                return "the path is not the object's"
        digests = self.digests.get(path)
        if digests is None or is_bad_path(path):
            return "the file is not there"
        if one["size"] != digests.size:
            return "size"
        for algorithm in ("sha256", "sha512"):
            if algorithm in one:
                table = listed[f"manifest-{algorithm}.txt"]
                if one[algorithm] != getattr(digests, algorithm):
                    return algorithm
                if table is not None and table.get(path) != one[algorithm]:
                    return f"manifest-{algorithm}.txt"
        return ""

    def _entry_differs(self, one: dict[str, Any]) -> str:
        wanted = "object.preserved" if one["kind"] == "item" else "record.filed"
        about = [
            entry
            for index in one["entries"]
            for entry in [self.entries.get(index, {})]
            if entry.get("type") == wanted and is_about(entry, one["id"])
        ]
        if len(about) != 1:
            return f"{len(about)} entries say that it was preserved"
        dig = about[0].get("dig")
        if not isinstance(dig, dict) or about[0].get("size") != one["size"]:
            return "the log entry"
        same = all(dig.get(name) == one[name] for name in ("sha256", "sha512"))
        if not same or ("sm3" in dig and "sm3" in one and dig["sm3"] != one["sm3"]):
            return "the log entry"
        return ""

    # -- 6: entries and proofs --

    def _entries(self, note: Optional[Note]) -> None:
        wanted = set(self.case["entries"]) if self.case else set()
        for path in self.folder.sizes:
            hit = re.fullmatch("proofs/(?:entries/([0-9]{1,18})[.]json|([0-9]{1,18})[.]tlog-proof)", path)
            if hit:
                wanted.add(int(hit[1] or hit[2]))
        for index in sorted(wanted):
            self._entry(index, note)

    def _entry(self, index: int, note: Optional[Note]) -> None:
        where, proof_at = f"proofs/entries/{index}.json", f"proofs/{index}.tlog-proof"
        if where not in self.folder.sizes:
            self.add("package.entry_missing", INVALID, where)
            return
        try:
            raw = self.folder.read(where, MOST_ENTRY)
            entry = parse_canonical(raw)
            demand_entry(entry)
        except Malformed as exc:
            self.add("entry.malformed", INVALID, where, str(exc))
            return
        code, detail = self._proof(index, raw, proof_at, note)
        if code == "proof.inclusion_valid":
            self.entries[index] = entry
            self.add(code, VALID, where)
        else:
            self.add(code, INVALID, proof_at, detail)
        detail_at = f"proofs/details/{index}.json"
        if detail_at in self.folder.sizes and not self._opens(detail_at, entry["detail_c"]):
            self.add("entry.detail_differs", INVALID, detail_at)

    def _proof(self, index: int, entry: bytes, where: str, note: Optional[Note]) -> tuple[str, str]:
        if where not in self.folder.sizes:
            return "proof.missing", ""
        try:
            proof = parse_proof(self.folder.read(where, MOST_PROOF))
        except Malformed as exc:
            return "proof.malformed", str(exc)
        if note is None or self.head is None or proof.note.text != note.text:
            return "proof.checkpoint_differs", ""
        if proof.number != index:
            return "proof.inclusion_invalid", "another index"
        if not is_included(leaf_hash(entry), index, self.head.size, proof.hashes, self.head.root):
            return "proof.inclusion_invalid", ""
        return "proof.inclusion_valid", ""

    def _opens(self, where: str, commitment: str) -> bool:
        try:
            held = parse_canonical(self.folder.read(where, MOST_DETAIL))
            demand(isinstance(held, dict) and set(held) == {"detail", "salt"}, "not a detail")
            demand(is_hex(held["salt"], 64), "not a salt")
            found = hashlib.sha256(bytes.fromhex(held["salt"]) + canonical(held["detail"])).hexdigest()
        except Malformed:
            return False
        return found == commitment

    # -- 7: the checkpoint and its anchors --

    def _checkpoint_note(self) -> Optional[Note]:
        try:
            note = parse_note(self.folder.read("proofs/checkpoint", MOST_NOTE))
            self.head = parse_checkpoint(note.text)
        except Malformed:
            return None
        return note

    def _checkpoint(self, note: Optional[Note]) -> None:
        where = "proofs/checkpoint"
        if note is None or self.head is None:
            self.add("checkpoint.malformed", INVALID, where)
            return
        if self.trust is None:
            self.add("checkpoint.signer_not_established", INDETERMINATE, where)
            self.add("checkpoint.no_quorum_asked", INDETERMINATE, where)
            return
        code, cosigned, perhaps = judge_note(note, self.head.origin, self.trust)
        outcomes = {"checkpoint.signature_valid": VALID, "checkpoint.signer_not_established": INDETERMINATE}
        outcome = outcomes.get(code, INVALID)
        self.add(code, outcome, where, "ML-DSA-44 is not checked here" if outcome == INDETERMINATE else "")
        if outcome == INVALID:
            return
        if not self.trust.asks_quorum():
            self.add("checkpoint.no_quorum_asked", INDETERMINATE, where)
        elif self.trust.has_quorum(cosigned, self.trust.quorum):
            self.add("checkpoint.quorum_valid", VALID, where)
        elif self.trust.has_quorum(cosigned | perhaps, self.trust.quorum):
            self.add("checkpoint.quorum_not_checked", INDETERMINATE, where)
        else:
            self.add("checkpoint.quorum_missing", INVALID, where)

    def _anchors(self, judge: Judge) -> None:
        names = {
            path[: path.rindex(".")]
            for path in self.folder.sizes
            if re.fullmatch("proofs/anchors/.+[.](ckpt|tsr)", path)
        }
        for name in sorted(names):
            code, detail = self._anchor(judge, name)
            outcome = {"anchor.valid": VALID, "anchor.invalid": INVALID}.get(code, INDETERMINATE)
            self.add(code, outcome, f"{name}.tsr", detail)

    def _anchor(self, judge: Judge, name: str) -> tuple[str, str]:
        try:
            raw = self.folder.read(f"{name}.ckpt", MOST_NOTE)
            token = self.folder.read(f"{name}.tsr", MOST_SIGNATURE)
            note = parse_note(raw)
            head = parse_checkpoint(note.text)
        except Malformed as exc:
            return "anchor.invalid", str(exc)
        if self.head is None or head.origin != self.head.origin or name != f"proofs/anchors/{head.size}":
            return "anchor.invalid", "another log or size"
        if head.size == self.head.size and head.root != self.head.root:
            return "anchor.invalid", "another root"
        _, outcome, detail, _ = judge.timestamp(raw, token)
        if outcome == INVALID:
            return "anchor.invalid", detail
        signer = judge_note(note, head.origin, self.trust)[0] if self.trust else ""
        if signer in ("checkpoint.signature_invalid", "checkpoint.signer_unknown"):
            return "anchor.invalid", "the log has not signed it"
        is_valid = signer == "checkpoint.signature_valid" and outcome == VALID
        return ("anchor.valid" if is_valid else "anchor.not_checked"), detail

    # -- 8: completeness --

    def _completeness(self, log: Optional[str]) -> list[Finding]:
        code = "package.completeness_not_checked"
        if log is None or self.case is None or self.head is None:
            return [Finding(code, INDETERMINATE, "", "" if log is None else "no case or no checkpoint")]
        asked = {each["id"]: set(each["entries"]) for each in self.case["objects"]}
        try:
            missing = missing_entries(log, self.head, asked, self.case["case"]["id"], set(self.case["entries"]))
        except (Malformed, OSError) as exc:
            return [Finding(code, INDETERMINATE, "", f"the copy of the log: {exc}")]
        found = [Finding("package.entry_missing", INVALID, f"proofs/entries/{index}.json") for index in missing]
        return found or [Finding("package.complete", VALID, "")]

    def report(self, chinese: bool = False) -> dict[str, Any]:
        """Return the JSON form."""
        unaltered = worst(each.outcome for each in self.findings)
        complete = worst(each.outcome for each in self.complete)
        issued = self.case["checkpoint"]["issued"] if self.case else None
        return {
            "checked": self.folder.place,
            "outcome": worst((unaltered, complete)),
            "unaltered": unaltered,
            "complete": complete,
            "up_to": {"size": self.head.size if self.head else None, "time": issued},
            "findings": [
                {"code": each.code, "outcome": each.outcome, "message": each.said(chinese), "where": each.where}
                for each in (*self.findings, *self.complete)
            ],
        }


def is_payload(path: str) -> bool:
    """Return whether a path belongs into the manifests."""
    return path.startswith("data/")


def is_tag(path: str) -> bool:
    """Return whether a path belongs into the tag manifests."""
    return not path.startswith(("data/", "sig/")) and path not in TAG_MANIFESTS


def is_hex(value: Any, size: int) -> bool:
    """Return whether a value is lower-case hexadecimal of this length."""
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{size}}}", value) is not None


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_about(entry: dict[str, Any], object_id: str) -> bool:
    """Return whether a log entry is about an object."""
    return isinstance(entry.get("obj"), dict) and entry["obj"].get("id") == object_id


def spellings(root: bytes) -> tuple[str, str]:
    """Return the two ways to write a root."""
    return root.hex(), base64.b64encode(root).decode()


def demand_entry(entry: Any) -> None:
    """Demand the form of a log entry. Raises: Malformed."""
    demand(isinstance(entry, dict) and is_count(entry.get("v")) and entry["v"] == 1, "not an entry of version 1")
    demand(isinstance(entry.get("type"), str) and is_hex(entry.get("detail_c"), 64), "no type or no commitment")


def demand_case(case: Any) -> None:
    """Demand the form of data/case.json as far as the checks need it. Raises: Malformed."""
    demand(isinstance(case, dict) and is_count(case.get("v")) and case["v"] == 1, "not version 1")
    demand(isinstance(case.get("origin"), str), "no origin")
    demand(isinstance(case.get("case"), dict) and isinstance(case["case"].get("id"), str), "no case")
    demand(all(isinstance(case.get(name), list) for name in ("objects", "renditions", "entries")), "a list is missing")
    demand_indices(case["entries"])
    seen: set[str] = set()
    for each in case["objects"]:
        demand(isinstance(each, dict) and each.get("kind") in ("item", "record"), "not an object")
        demand(isinstance(each.get("id"), str) and each["id"] not in seen, "an object without its own id")
        seen.add(each["id"])
        demand_file(each, ("sha256", "sha512"))
        demand(isinstance(each.get("entries"), list), "an object without entries")
        demand_indices(each["entries"])
    for each in case["renditions"]:
        demand(isinstance(each, dict) and isinstance(each.get("object"), str), "not a rendition")
        demand_file(each, ("sha256",))
    head = case.get("checkpoint")
    demand(isinstance(head, dict) and is_count(head.get("size")), "no checkpoint")
    demand(isinstance(head.get("root"), str) and isinstance(head.get("issued"), str), "no checkpoint")


def demand_indices(values: list[Any]) -> None:
    """Demand indices of the log in rising order. Raises: Malformed."""
    demand(all(is_count(each) for each in values), "an index is none")
    demand(all(one < two for one, two in zip(values, values[1:])), "indices are not in order")


def demand_file(one: dict[str, Any], algorithms: tuple[str, ...]) -> None:
    """Demand path, size and digests. Raises: Malformed."""
    demand(isinstance(one.get("path"), str) and is_count(one.get("size")), "a file without path or size")
    demand(all(is_hex(one.get(name), HEX_SIZES[name]) for name in algorithms), "a file without digests")


# ---- a copy of the log (C2SP tlog-tiles) ----------------------------------------------------------------------------


def bundle_path(number: int) -> str:
    """Return the path of a full entry bundle below tile/entries."""
    digits = f"{number:03}"
    digits = digits.rjust((len(digits) + 2) // 3 * 3, "0")
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def read_bundle(log: str, number: int, count: int) -> bytes:
    """Return the smallest bundle that holds the first `count` entries of this number. Raises: Malformed, OSError."""
    full = os.path.join(log, "tile", "entries", *bundle_path(number).split("/"))
    places = [full]
    if count < 256 and os.path.isdir(full + ".p"):
        parts = sorted(int(name) for name in os.listdir(full + ".p") if name.isdigit() and count <= int(name) < 256)
        places = [os.path.join(full + ".p", str(part)) for part in parts] + places
    for place in places:
        if os.path.isfile(place):
            with open(place, "rb") as file:
                return file.read(256 * (MOST_ENTRY + 2))
    raise Malformed(f"the bundle {bundle_path(number)} is missing")


def entries_of(log: str, size: int) -> Iterator[bytes]:
    """Return the first `size` entries, one after the other. Raises: Malformed, OSError."""
    for number in range((size + 255) // 256):
        count = min(256, size - number * 256)
        raw, at = read_bundle(log, number, count), 0
        for _ in range(count):
            length = int.from_bytes(raw[at : at + 2], "big")
            demand(at + 2 + length <= len(raw), "a bundle is too short")
            yield raw[at + 2 : at + 2 + length]
            at += 2 + length


def missing_entries(log: str, head: Checkpoint, objects: dict[str, set[int]], case_id: str, top: set[int]) -> list[int]:
    """Return the indices of entries about case and objects that the package does not name.

    Raises: Malformed when the copy does not lead to the checkpoint, OSError.
    """
    names = re.compile("|".join(re.escape(each) for each in sorted({*objects, case_id})).encode())
    stack: list[tuple[int, bytes]] = []
    missing = []
    for index, raw in enumerate(entries_of(log, head.size)):
        height, value = 0, leaf_hash(raw)
        while stack and stack[-1][0] == height:
            height, value = height + 1, node_hash(stack.pop()[1], value)
        stack.append((height, value))
        if names.search(raw):
            entry = parse_canonical(raw)
            own = [known for each, known in objects.items() if is_about(entry, each)]
            if any(index not in known for known in own) or (entry.get("case") == case_id and index not in top):
                missing.append(index)
    root = stack.pop()[1] if stack else hashlib.sha256(b"").digest()
    while stack:
        root = node_hash(stack.pop()[1], root)
    demand(root == head.root, "it does not lead to the checkpoint")
    return missing


# ---- the command ----------------------------------------------------------------------------------------------------

WORDS = {
    VALID: ("valid", "有效"),
    INVALID: ("INVALID", "无效"),
    INDETERMINATE: ("not established", "未能确认"),
    "unaltered": ("Unaltered", "未被改动"),
    "complete": ("Complete up to entry {size}, {time}", "完整性（截至第 {size} 条，{time}）"),
    "no_key": (
        "Without a trust file from outside (--key) nobody knows who signed: everything in a package can be forged together.",
        "没有包外的信任文件（--key），就无法知道是谁签的名：包内的一切都可以一并伪造。",
    ),
    "counts": ("{valid} checks hold, {invalid} do not, {indeterminate} could not be made", "{valid} 项成立，{invalid} 项不成立，{indeterminate} 项未能检查"),
}  # fmt: skip


def tell(report: dict[str, Any], chinese: bool, has_key: bool) -> None:
    """Print the report for people."""
    at = 1 if chinese else 0
    outcomes = [each["outcome"] for each in report["findings"]]
    for each in report["findings"]:
        if each["outcome"] != VALID:
            print(f"{WORDS[each['outcome']][at]}: {each['where']}: {each['message']} [{each['code']}]")
    print(WORDS["counts"][at].format(**{name: outcomes.count(name) for name in EXIT}))
    print(f"{WORDS['unaltered'][at]}: {WORDS[report['unaltered']][at]}")
    print(f"{WORDS['complete'][at].format(**report['up_to'])}: {WORDS[report['complete']][at]}")
    if not has_key:
        print(WORDS["no_key"][at])


def show_progress(done: int, total: int) -> None:
    """Show how far the reading is, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done * 100 // max(total, 1):3} %" + ("\n" if done == total else ""))


def is_chinese(asked: Optional[str]) -> bool:
    """Return whether to speak Chinese: as asked for, else as the system does."""
    system = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return (asked or system).lower().startswith("zh")


def read_trust(path: Optional[str]) -> Optional[Trust]:
    """Return the trust file. Raises: CannotRun."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return Trust(file.read(MIB))
    except OSError as exc:
        raise CannotRun(f"{path}: {exc.strerror}") from exc
    except Malformed as exc:
        raise CannotRun(f"{path}: {exc}", 65) from exc


def main(arguments: list[str]) -> int:
    """Run the check; return the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--key", metavar="TRUST")
    parser.add_argument("--log", metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lang", choices=("zh", "en"))
    try:
        given = parser.parse_args(arguments)
    except SystemExit as exc:
        return 64 if exc.code else 0
    chinese = is_chinese(given.lang)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            cast("Any", stream).reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        trust = read_trust(given.key)
        check = Check(given.folder, trust, datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0))
        check.run(given.log, None if given.json else show_progress)
    except CannotRun as exc:
        print(f"verify.py: {exc}", file=sys.stderr)
        return exc.code
    except KeyboardInterrupt:
        return 130
    report = check.report(chinese)
    if given.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        tell(report, chinese, trust is not None)
    return EXIT[report["outcome"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
