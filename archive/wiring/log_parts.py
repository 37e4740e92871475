"""Putting the log together: its keys, witnesses, anchors, journal, and the trust file that tells of them."""

import contextlib
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from archive.adapters.http_outbound import HttpOutbound
from archive.db.database import Database
from archive.ledger.anchors import Anchors, read_issuers, standing
from archive.ledger.cosign_rounds import CosignRounds, last_outcomes
from archive.ledger.cosigner import WitnessClient
from archive.ledger.health import LogFacts, LogHealth, log_health
from archive.ledger.journal import Journal
from archive.ledger.keykinds import MLDSA44
from archive.ledger.models import LogSegment
from archive.ledger.note import RECEIPT, VerifierKey
from archive.ledger.policy import NO_WITNESSES, WitnessPolicy
from archive.ledger.publishing import Published
from archive.ledger.trustfile import MalformedTrustFile, TrustFile, parse_policy, receipt_key_name
from archive.ports.clock import Clock
from archive.ports.timestamps import TimestampAuthority
from archive.settings import Settings, SettingsInvalid
from archive.wiring.stores import Stores
from signing.authority import EmbeddedAuthority, fingerprint
from signing.ed25519 import Ed25519KeyHandle
from signing.key_wrap import FileKeyWrapper
from signing.keyfiles import PUBLIC, KeyExists, KeyMissing, replace_durably
from signing.mldsa import MlDsa44KeyHandle
from signing.secret_file import secret_from_file
from signing.timestamps import OutsideTsa, merged_issuers, root_digests
from signing.tsa import EmbeddedTsa


def witness_policy(settings: Settings) -> WitnessPolicy:
    """Return the archive's own policy. Raises: SettingsInvalid, MalformedTrustFile."""
    if settings.witness_policy is None:
        return NO_WITNESSES
    try:
        return parse_policy(settings.witness_policy.read_bytes())
    except OSError as exc:
        raise SettingsInvalid("The file of the setting witness_policy cannot be read") from exc


def authority_of_anchors(settings: Settings, tsa: EmbeddedTsa, clock: Clock) -> TimestampAuthority:
    """Return the outside authority where one is set. Raises: SettingsInvalid, BadTrustRoots."""
    if settings.tsa_url is None:
        return tsa
    issuers = _outside_issuers(settings)
    if not root_digests(issuers):
        raise SettingsInvalid("The setting tsa_url needs tsa_ca, with the root of that authority's certificates")
    outbound = HttpOutbound(networks=settings.tsa_networks, ca=settings.tsa_ca, connect_timeout_s=3.0, timeout_s=10.0)
    return OutsideTsa(outbound, settings.tsa_url, clock, issuers_pem=issuers, policy=settings.tsa_policy)


def _outside_issuers(settings: Settings) -> bytes:
    try:
        return b"" if settings.tsa_url is None or settings.tsa_ca is None else settings.tsa_ca.read_bytes()
    except OSError as exc:
        raise SettingsInvalid("The file of the setting tsa_ca cannot be read") from exc


def issuers_of_all(settings: Settings, authority: EmbeddedAuthority) -> bytes:
    """Return roots and issuers of all that has signed or stamped here (PEM), our own root first. Nobody's is left out.

    Raises: SettingsInvalid, BadTrustRoots.
    """
    kept = read_issuers(settings.home.absolute() / "log" / "anchors")
    former = b"".join(each.public_bytes(Encoding.PEM) for each in authority.former_roots)
    return merged_issuers(authority.root_pem, former, kept, _outside_issuers(settings))


def cosign_rounds(settings: Settings, database: Database, policy: WitnessPolicy, clock: Clock) -> CosignRounds:
    """Return what asks the witnesses that have an address; without any, nothing calls out."""
    outbound = HttpOutbound(
        networks=settings.witness_networks, ca=settings.witness_ca, connect_timeout_s=3.0, timeout_s=10.0
    )
    return CosignRounds(
        [WitnessClient(database, outbound, witness, clock) for witness in policy.witnesses if witness.url is not None],
        clock,
        report=settings.home / "run" / "witnesses.json",
        refresh=timedelta(minutes=settings.witness_refresh_min),
        is_required=settings.witness_at_start == "required",
    )


def second_log_key(home: Path) -> MlDsa44KeyHandle:
    """Return the log's ML-DSA-44 key; an archive from before there was one gets it now."""
    path = home / "keys" / "log-mldsa.pem"
    try:
        return MlDsa44KeyHandle.load(path)
    except KeyMissing:
        with contextlib.suppress(KeyExists):  # another process was quicker
            return MlDsa44KeyHandle.generate(path)
    return MlDsa44KeyHandle.load(path)


def journal(home: Path, database: Database, stores: Stores) -> Journal:
    """Return the journal; an archive from before there was one gets its key now, one that has lost its key does not."""
    path = home / "keys" / "journal.key"
    if not path.exists():
        with database.read() as tx:
            is_unused = tx.scalar(select(LogSegment.size).limit(1)) is None
        if is_unused:
            secret_from_file(path)
    return Journal(stores.journal, stores.journal_keys, FileKeyWrapper(path))


def trust_file(
    home: Path,
    origin: str,
    log_key: Ed25519KeyHandle,
    receipt_key: Ed25519KeyHandle,
    policy: WitnessPolicy,
    issuers: bytes = b"",
) -> TrustFile:
    """Return what others pin: the keys of log and receipts, the roots, the witnesses."""
    authority = EmbeddedAuthority.load(home / "ca")
    own = tuple(bytes.fromhex(fingerprint(each)) for each in (authority.root, *authority.former_roots))
    return TrustFile(
        logs=(
            VerifierKey(origin, log_key.public_bytes),
            VerifierKey(origin, second_log_key(home).public_bytes, MLDSA44),
        ),
        receipts=(VerifierKey(receipt_key_name(origin), receipt_key.public_bytes, RECEIPT),),
        roots=own,
        policy=policy.without_urls,
        timestamp_roots=tuple(digest for digest in root_digests(issuers) if digest not in own),
    )


def renew_trust_file(home: Path, now: TrustFile) -> bool:
    """Bring `trust.txt` up to keys and policy; keys that stand in it stay, so that old receipts verify on.

    Returns whether it was changed. A file that cannot be read is left to `liuhen fsck`.
    Raises: StorageFull.
    """
    path = home / "trust.txt"
    try:
        before = path.read_bytes()
        old = TrustFile.parse(before)
    except (OSError, MalformedTrustFile):
        return False
    merged = TrustFile(
        tuple(dict.fromkeys((*old.logs, *now.logs))),
        tuple(dict.fromkeys((*old.receipts, *now.receipts))),
        tuple(dict.fromkeys((*old.roots, *now.roots))),
        now.policy,
        tuple(dict.fromkeys((*old.timestamp_roots, *now.timestamp_roots))),
    )
    if str(merged).encode() == before:
        return False
    replace_durably(path, str(merged).encode(), mode=PUBLIC)
    return True


def health(
    settings: Settings,
    database: Database,
    clock: Clock,
    trust: TrustFile,
    policy: WitnessPolicy,
    published: Published,
    anchors: Anchors,
) -> LogHealth:
    """Look at the log as it stands."""
    run = settings.home / "run"
    facts = LogFacts(
        origin=settings.origin,
        keys=trust.logs,
        policy=policy,
        published=published.checkpoint(),
        answers=last_outcomes(run / "witnesses.json"),
        refresh=timedelta(minutes=settings.witness_refresh_min),
        anchoring=timedelta(minutes=settings.anchor_minutes),
        anchors=lambda size: standing(anchors.folder, log_size=size, report=run / "anchors.json"),
    )
    with database.read() as tx:
        return log_health(tx, facts, at=clock.now())
