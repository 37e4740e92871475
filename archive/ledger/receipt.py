"""Receipts: the archive's signed word that it holds a recording, with its place in the log, verifiable offline.

Pure. The file is canonical JSON, byte for byte:

    {"receipt": {"v": 1, "upload": <id>, "manifest": {"sha256": <hex>}, "entry": <log entry, verbatim, as a string>,
                 "proof": <text of the .tlog-proof>},
     "signatures": [{"key": "<name>+<key ID>", "alg": "Ed25519", "sig": <base64>}]}

A signature is plain Ed25519 over `liuhen-receipt/v1`, a newline, and the canonical JSON of the value of `receipt`. The
key's name is the log's origin followed by `/receipt`; how it is pinned: `archive.ledger.trustfile`. Signatures by keys
that are not pinned are set aside, so that another profile may sign beside.

Source: RFC 8785, RFC 8032, C2SP tlog-proof; docs/formats/receipt.md.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from archive.kernel.canonical import canonical_json, parse_canonical
from archive.kernel.digests import Digest, DigestSet
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Finding, Report, indeterminate, invalid, valid
from archive.kernel.ids import UploadId, parse_uuid
from archive.ledger.checkpoint import WrongOrigin
from archive.ledger.entries import EntryType
from archive.ledger.note import (
    RECEIPT,
    Signer,
    VerifierKey,
    decode_base64,
    encode_base64,
    is_key_name,
)
from archive.ledger.proof import TlogProof
from archive.ledger.tree import leaf_hash, verify_inclusion
from archive.ledger.trustfile import TrustFile, receipt_key_name
from archive.ports.keys import KeyHandle

MAX_RECEIPT_BYTES: Final = 2 * 1024 * 1024
MAX_SIGNATURES: Final = 16
MAX_ENTRY_BYTES: Final = 65_535
"""The format's limit for any entry, ours or not. Source: C2SP tlog-tiles, entry bundles."""
_DOMAIN: Final = b"liuhen-receipt/v1\n"
_ALGORITHM: Final = "Ed25519"
_VERSION: Final = 1
_KEY: Final = re.compile(r"([^+]+)\+([0-9a-f]{8})")


class MalformedReceipt(InvalidInput):
    """This is not a receipt."""

    code = "receipt.malformed"
    exit_code = 65


class MalformedEntry(InvalidInput):
    """This is not the log entry of something received."""

    code = "receipt.entry_malformed"
    exit_code = 65


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt states.

    `entry` is the log entry as it was logged; `manifest` the SHA-256 of the manifest that the dock sent.
    """

    upload_id: UploadId
    manifest: Digest
    entry: bytes
    proof: TlogProof

    def as_json(self) -> dict[str, Any]:
        """Return the value that is signed."""
        return {
            "v": _VERSION,
            "upload": str(self.upload_id),
            "manifest": {"sha256": self.manifest.hex},
            "entry": self.entry.decode(),
            "proof": str(self.proof),
        }

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that the signature covers."""
        return _DOMAIN + canonical_json(self.as_json())

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the value that is signed. Raises: InvalidInput."""
        fields = _object(value, {"v", "upload", "manifest", "entry", "proof"})
        if fields["v"] != _VERSION or isinstance(fields["v"], bool):
            raise MalformedReceipt("Not a version that is known here")
        manifest = _object(fields["manifest"], {"sha256"})
        return cls(
            upload_id=UploadId(parse_uuid(_string(fields["upload"]))),
            manifest=Digest.from_hex("sha256", manifest["sha256"]),
            entry=_string(fields["entry"]).encode(),
            proof=TlogProof.parse(_string(fields["proof"]).encode()),
        )


@dataclass(frozen=True, slots=True)
class ReceiptSignature:
    """One signature on a receipt. Whether it verifies is not known yet."""

    key_name: str
    key_id: bytes
    signature: bytes

    def as_json(self) -> dict[str, str]:
        """Return the form in the file."""
        return {
            "key": f"{self.key_name}+{self.key_id.hex()}",
            "alg": _ALGORITHM,
            "sig": encode_base64(self.signature),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Parse the form in the file. Raises: InvalidInput."""
        fields = _object(value, {"key", "alg", "sig"})
        match = _KEY.fullmatch(_string(fields["key"]))
        if match is None or not is_key_name(match[1]):
            raise MalformedReceipt("A key is named by name+id")
        if fields["alg"] != _ALGORITHM:
            raise MalformedReceipt("Not an algorithm that is known here")
        return cls(match[1], bytes.fromhex(match[2]), decode_base64(_string(fields["sig"])))


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as it was read: statement and signatures, none of them verified. Use `verify_receipt` to trust it.

    Raises: MalformedReceipt for signatures that have no place on a receipt.
    """

    receipt: Receipt
    signatures: tuple[ReceiptSignature, ...]

    def __post_init__(self) -> None:
        """Refuse what has no form as a signed receipt."""
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise MalformedReceipt("A receipt has 1 to 16 signatures", signatures=len(self.signatures))
        keys = {(line.key_name, line.key_id) for line in self.signatures}
        if len(keys) != len(self.signatures):
            raise MalformedReceipt("A key has signed twice")

    def to_bytes(self) -> bytes:
        """Return the file."""
        signatures = [line.as_json() for line in self.signatures]
        return canonical_json({"receipt": self.receipt.as_json(), "signatures": signatures})


def parse_receipt(envelope: bytes) -> SignedReceipt:
    """Parse the file of a receipt; verifies nothing but its form.

    Raises: MalformedReceipt for anything that `SignedReceipt.to_bytes` would not have written.
    """
    if len(envelope) > MAX_RECEIPT_BYTES:
        raise MalformedReceipt("The receipt is longer than 2 MiB", size_bytes=len(envelope))
    try:
        fields = _object(parse_canonical(envelope), {"receipt", "signatures"})
        lines = _few(fields["signatures"])
        return SignedReceipt(
            Receipt.from_json(fields["receipt"]), tuple(ReceiptSignature.from_json(line) for line in lines)
        )
    except MalformedReceipt:
        raise
    except InvalidInput as exc:
        raise MalformedReceipt("A part of the receipt is not in its canonical form") from exc


def issue_receipt(
    *, upload_id: UploadId, manifest: bytes, entry: bytes, proof: TlogProof, origin: str, key: KeyHandle
) -> bytes:
    """Return the file of a signed receipt, once it is sure to state what is so.

    Guarantees: the entry is one of something received, and the proof shows that it is in the log. MUST NOT be called
        before entry and checkpoint are durable.
    Raises: MalformedEntry, InclusionInvalid; WrongOrigin when the proof is of another log than `origin`; SignerFault.
    """
    received_digests(entry)
    head = proof.checkpoint
    if head.origin != origin:
        raise WrongOrigin(origin=head.origin, expected=origin)
    verify_inclusion(leaf_hash(entry), index=proof.index, size=head.size, proof=proof.hashes, root=head.root)
    receipt = Receipt(upload_id, Digest("sha256", hashlib.sha256(manifest).digest()), entry, proof)
    signer = Signer(receipt_key_name(origin), key, RECEIPT)
    verifier = signer.verifier
    signature = ReceiptSignature(verifier.name, verifier.key_id, signer.sign(receipt.signed_bytes))
    return SignedReceipt(receipt, (signature,)).to_bytes()


def received_digests(entry: bytes) -> DigestSet:
    """Return the size and digests that an `ingest.received` entry states.

    Raises: MalformedEntry for any other bytes.
    Source: docs/formats/log-entry.md.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        raise MalformedEntry("The entry is too long", size_bytes=len(entry))
    try:
        fields = parse_canonical(entry)
    except InvalidInput as exc:
        raise MalformedEntry("The entry is not canonical JSON") from exc
    if not isinstance(fields, dict) or fields.get("type") != EntryType.INGEST_RECEIVED:
        raise MalformedEntry("The entry is not of something received")
    size, version = fields.get("size"), fields.get("v")
    if type(version) is not int or version != _VERSION or type(size) is not int or size < 0:
        raise MalformedEntry("The entry has no version or no size that is known here")
    try:
        return DigestSet.from_json(size, fields.get("dig"))
    except InvalidInput as exc:
        raise MalformedEntry("The entry has no digests") from exc


def verify_receipt(
    envelope: bytes, *, trust: TrustFile | None, digests: DigestSet | None, manifest: bytes | None = None
) -> Report:
    """Say whether a receipt holds for a file, with nothing but the file, the receipt and the pinned keys.

    1. The receipt is well-formed.
    2. It is signed by the pinned receipt key of the log that its checkpoint names.
    3. Its log entry is canonical JSON, of something received, and states the size and digests of the file; where a
       manifest is given, its digest is the one in the receipt.
    4. The proof includes the entry in the tree of the checkpoint.
    5. The checkpoint is signed by the pinned log key, and cosigned as the pinned witness policy asks.

    Without pinned keys 2 and 5 stay open and the report is indeterminate at best: consistent, signer not
    established. Without the digests of a file 3 stays open. A manifest that is not given is not asked about.

    Guarantees: never raises for what the envelope holds; every step that could be made has a finding.
    """
    try:
        signed = parse_receipt(envelope)  # step 1
    except MalformedReceipt as exc:
        return Report((invalid(exc.code, f"The receipt cannot be read: {exc.message}.", "receipt"),))
    receipt = signed.receipt
    return Report(
        (
            valid("receipt.well_formed", "The receipt is well-formed.", "receipt"),
            _check_signature(signed, trust),  # step 2
            *_check_entry(receipt, digests),  # step 3
            *_check_manifest(receipt, manifest),
            *receipt.proof.verify(receipt.entry, trust=trust).findings,  # steps 4 and 5
        )
    )


def _check_signature(signed: SignedReceipt, trust: TrustFile | None) -> Finding:
    where = "receipt"
    if trust is None or not trust.receipts:  # a plain policy file pins none
        return indeterminate(
            "receipt.signer_not_established",
            "Consistent, signer not established: no key was given that could say who signed the receipt.",
            where,
        )
    message = signed.receipt.signed_bytes
    pinned = trust.receipt_keys(signed.receipt.proof.checkpoint.origin)
    outcomes = [key.verifies(sig, message=message) for key, sig in _known(pinned, signed.signatures)]
    if not outcomes:
        return invalid("receipt.signer_unknown", "No pinned receipt key has signed the receipt.", where)
    if not all(outcomes):
        return invalid(
            "receipt.signature_invalid", "A signature of a pinned key on the receipt does not verify.", where
        )
    return valid("receipt.signature_valid", "The pinned receipt key has signed the receipt.", where)


def _known(keys: Iterable[VerifierKey], signatures: Iterable[ReceiptSignature]) -> Iterable[tuple[VerifierKey, bytes]]:
    """The signatures that claim to be of one of the keys, with that key."""
    found = {(line.key_name, line.key_id): line.signature for line in signatures}
    for key in keys:
        signature = found.get((key.name, key.key_id))
        if signature is not None:
            yield key, signature


def _check_entry(receipt: Receipt, digests: DigestSet | None) -> tuple[Finding, ...]:
    where = "entry"
    try:
        stated = received_digests(receipt.entry)
    except MalformedEntry as exc:
        return (invalid(exc.code, f"The log entry in the receipt is not usable: {exc.message}.", where),)
    if digests is None:
        return (indeterminate("receipt.file_not_compared", "No file was given to compare the log entry with.", where),)
    if not stated.agrees_with(digests):
        return (invalid("receipt.digest_mismatch", "The file is not the one that the log entry describes.", where),)
    return (valid("receipt.digests_match", "Size, SHA-256 and SHA-512 of the file are in the log entry.", where),)


def _check_manifest(receipt: Receipt, manifest: bytes | None) -> tuple[Finding, ...]:
    if manifest is None:
        return ()
    if hashlib.sha256(manifest).digest() != receipt.manifest.value:
        return (invalid("receipt.manifest_mismatch", "The manifest is not the one in the receipt.", "manifest"),)
    return (valid("receipt.manifest_matches", "The manifest is the one in the receipt.", "manifest"),)


def _object(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise MalformedReceipt("An object has other fields than it must have", fields=", ".join(sorted(names)))
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedReceipt("A field is not a string")
    return value


def _few(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_SIGNATURES:
        raise MalformedReceipt("A receipt has a list of 1 to 16 signatures")
    return value
