"""Putting the archive together: the only module that chooses adapters.

`create_home` makes a new archive's folders and keys, once; `build_services` opens an existing one.
"""

import functools
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from archive.access.sign_ins import SignIns
from archive.cases.finished_records import FinishedRecords
from archive.cases.sealing import Seals
from archive.complaints.rules import ComplaintRules
from archive.complaints.sweeping import ComplaintJobs
from archive.db.database import Database, DatabaseClock
from archive.db.revision import require_current_schema
from archive.documents.certificate_ends import CertificateEnds
from archive.documents.issuing import Issuer
from archive.documents.late_stamps import LateStamps
from archive.documents.renewing import Renewals
from archive.documents.template_previews import TemplatePreviews
from archive.kernel.clock import SystemClock
from archive.kernel.digests import CN_PROFILE, STANDARD
from archive.kernel.errors import Conflict, LiuhenError
from archive.ledger.anchor_rounds import AnchorRounds
from archive.ledger.anchors import Anchors
from archive.ledger.cosign_rounds import CosignRounds
from archive.ledger.health import LogHealth
from archive.ledger.journal import Journal
from archive.ledger.keykinds import MLDSA44
from archive.ledger.lock import SequencerLock
from archive.ledger.note import Signer
from archive.ledger.policy import WitnessPolicy
from archive.ledger.proofs import head
from archive.ledger.publishing import Published
from archive.ledger.sequencer import Sequencer
from archive.ledger.trustfile import TrustFile
from archive.notify.delivery import DeliveryJobs
from archive.notify.mailing import MailJobs
from archive.notify.webhooks import Webhooks
from archive.ocfl.root import OcflRoot
from archive.organisation.rules import OrganisationRules
from archive.packages.building import Packager
from archive.packages.jobs import Packages
from archive.ports.blobs import BlobStore
from archive.ports.clock import Clock
from archive.recovery.mark import MARK
from archive.retrieval.rules import RetrievalRules
from archive.retrieval.watching import RetrievalJobs
from archive.settings import Settings
from archive.trust.register import CertificateRegister
from archive.wiring import (
    copy_parts,
    judging_parts,
    key_parts,
    log_parts,
    move_parts,
    package_parts,
    people_parts,
    record_parts,
    renewal_parts,
    template_parts,
    volume_parts,
    worker_parts,
)
from archive.wiring.mail import mail_jobs
from archive.wiring.stores import Stores, open_stores, require_store, term_of, trial_of
from ingest.context import DockLimits, Intake
from ingest.direct import DirectJobs
from ingest.doors import DockKind, Doors, door_key
from ingest.judgement_reports import ReportMaker
from ingest.judgements import Judge
from ingest.media.tools import open_toolbox
from ingest.places import place_of
from ingest.workshop import Handler, Workshop
from retention.copies import Copies
from retention.drills import Drills
from retention.fixity import Fixity
from retention.locks import LockRenewals
from retention.moving.parts import MoveParts
from retention.renewals.job import EvidenceRenewals
from retention.renewals.listing import RenewalListing
from retention.worm import WormProbes
from signing.authority import EmbeddedAuthority
from signing.ed25519 import Ed25519KeyHandle
from signing.identifier_vault import FileIdentifierVault
from signing.keyfiles import PUBLIC, fsync_directory, replace_durably
from signing.ocsp import EmbeddedOcsp
from signing.renewed_signer import KeyInUse, RenewedSigner
from signing.revocation import crl
from signing.sealed_words import WordSeal
from signing.secret_file import secret_from_file
from signing.tsa import EmbeddedTsa


class HomeMissing(LiuhenError):
    """There is no archive in this folder; make one with `liuhen init`, or name another with --home."""

    code = "home.missing"
    exit_code = 66


class RecoveryUnfinished(LiuhenError):
    """A recovery of this archive has not ended; run `liuhen recover` again, or `liuhen restore`."""

    code = "recovery.unfinished"
    exit_code = 78


class HomeExists(Conflict):
    """There is an archive in this folder already; it was not touched."""

    code = "home.exists"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that entry points hand to use cases."""

    settings: Settings
    database: Database
    clock: Clock
    stores: Stores
    objects: OcflRoot
    renditions: BlobStore
    authority: EmbeddedAuthority
    signer: RenewedSigner
    tsa: EmbeddedTsa
    identifiers: FileIdentifierVault
    api_key_hashes: FileIdentifierVault
    trust: TrustFile
    policy: WitnessPolicy
    intake: Intake
    doors: Doors
    workshop: Workshop
    webhooks: Webhooks
    delivery: DeliveryJobs
    mail: MailJobs
    complaints: ComplaintJobs
    retrievals: RetrievalJobs
    records: FinishedRecords
    seals: Seals
    issuer: Issuer
    ocsp: EmbeddedOcsp
    certificate_ends: CertificateEnds
    renewals: Renewals
    evidence: EvidenceRenewals
    template_previews: TemplatePreviews
    case_files: volume_parts.CaseFiles
    judge: Judge
    known_second: Sequence[str]
    report: ReportMaker
    rules: OrganisationRules
    handlers: Mapping[str, Handler]
    fixity: Fixity
    worm: WormProbes
    locks: LockRenewals
    copies: Copies
    published: Published
    journal: Journal
    packager: Packager
    sequencer: Sequencer
    sequencer_lock: SequencerLock
    cosign_rounds: CosignRounds
    anchors: Anchors
    anchor_rounds: AnchorRounds
    sign_ins: SignIns
    federation: people_parts.Federation | None

    @property
    def run_folder(self) -> Path:
        """Where running processes leave addresses and locks."""
        return self.settings.home / "run"

    @property
    def packages(self) -> Packages:
        """What builds and keeps the packages that people ask for."""
        keep, folder = timedelta(days=self.settings.package_keep_days), self.settings.home.absolute() / "packages"
        return Packages(self.packager, folder, keep, self.settings.reserve_bytes)

    @property
    def drills(self) -> Drills:
        """What restores from the second copy to see whether that can be done."""
        return copy_parts.drills(self.settings, self.copies, self.packager, self.trust, self.authority.root_pem)

    @property
    def renewal_listing(self) -> RenewalListing:
        """What tells what ages, and what was renewed."""
        return renewal_parts.renewal_listing(self.settings, self.evidence, self.anchors, self.trust, self.policy)

    @property
    def moving(self) -> MoveParts:
        """What moves all objects to another store."""
        return move_parts.move_parts(self.settings, self.database, self.signer, self.clock)

    def log_health(self) -> LogHealth:
        """Look at the log as it stands."""
        return log_parts.health(
            self.settings, self.database, self.clock, self.trust, self.policy, self.published, self.anchors
        )

    def close(self) -> None:
        """Give back what is held."""
        self.sequencer_lock.release()
        self.stores.close()
        self.database.close()


def create_home(settings: Settings) -> None:
    """Make folders, keys, certificates, configuration, database and the first checkpoint of a new archive.

    The log's key comes last and makes the folder an archive: what broke off before is gone on with by the next call.
    Raises: HomeExists, also where the database holds a log already; Unavailable, StorageFull.
    """
    home = settings.home
    log_path, receipt_path = home / "keys" / "log.pem", home / "keys" / "receipt.pem"
    if log_path.exists():
        raise HomeExists(home=str(home))
    for name in ("keys", "run", "scratch", "log", "log-entries", "journal-keys"):
        (home / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    prepare_local(settings)
    (home / "log").chmod(0o755)
    _create_database(settings)
    if not (home / "ca").exists():
        EmbeddedAuthority.create(
            home / "ca",
            organisation=settings.organisation,
            valid_from=SystemClock().now(),
            host_names=_host_names(settings),
        )
    origin = settings.origin
    if origin == Settings.model_fields["origin"].default:
        # The origin names this log among all logs in the world, so two archives must not share one.
        origin = f"liuhen.local/{secrets.token_hex(4)}/log"
    configuration = home / "liuhen.toml"
    if not configuration.exists():
        told = "# Settings of this archive; docs/settings.md has them all.\n"
        told += f"origin = {_quoted(origin)}\norganisation = {_quoted(settings.organisation)}\n"
        replace_durably(configuration, told.encode(), mode=PUBLIC)
    FileIdentifierVault.create(home / "keys" / "subjects.key")
    secret_from_file(home / "keys" / "journal.key")
    secret_from_file(home / "keys" / "words.key")
    for kind in (DockKind.BROWSER, DockKind.AXIS):
        door_key(home / "keys", kind)
    fresh = log_path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    log_key = Ed25519KeyHandle.generate(fresh)
    is_there = receipt_path.exists()
    receipt_key = Ed25519KeyHandle.load(receipt_path) if is_there else Ed25519KeyHandle.generate(receipt_path)
    trust = log_parts.trust_file(home, origin, log_key, receipt_key, log_parts.witness_policy(settings))
    replace_durably(home / "trust.txt", str(trust).encode(), mode=PUBLIC)
    fresh.rename(log_path)
    fsync_directory(log_path.parent)
    services = build_services(settings.model_copy(update={"origin": origin}))
    services.objects.prepare()
    services.sequencer.recover()
    services.tsa.prepare()
    services.close()


def prepare_local(settings: Settings) -> None:
    """Make the folders on this host's own disk, where they are missing."""
    for name in ("staging", "work"):
        (settings.local / name).mkdir(parents=True, exist_ok=True, mode=0o700)


def _create_database(settings: Settings) -> None:
    from archive.db.migrate import migrate  # alembic is for the one start that makes the archive

    database = Database(settings.effective_database_url)
    if database.is_sqlite and database.url.database:
        # Names of persons and hashes of passwords are for the archive alone; SQLite's other files get the same mode.
        os.close(os.open(database.url.database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        migrate(database)
        with database.read() as tx:
            if head(tx) is not None:
                raise HomeExists("The database belongs to an archive already", home=str(settings.home))
    finally:
        database.close()


def build_services(
    settings: Settings,
    *,
    clock: Clock | None = None,
    statement_s: int = 0,
    is_recovering: bool = False,
    is_renaming: bool = False,
) -> Services:
    """Open the archive in the home folder; the clock is that of the database server unless another is given.

    Units: a statement may take `statement_s` (see `Database`). `is_renaming`: the store may have another name.

    Raises: HomeMissing, RecoveryUnfinished unless `is_recovering`, SchemaOutdated, StoreElsewhere, Unavailable; what a
        damaged key or certificate raises.
    """
    if not (settings.home / "keys" / "log.pem").exists():
        raise HomeMissing(home=str(settings.home.absolute()))
    if not is_recovering and (settings.home / MARK).exists():
        raise RecoveryUnfinished(home=str(settings.home.absolute()))
    database = Database(settings.effective_database_url, pool_size=settings.database_pool, statement_s=statement_s)
    try:
        require_current_schema(database)
        if not (is_recovering or is_renaming):  # which store is in use is known once the log is replayed
            require_store(database, settings)
        prepare_local(settings)
        return _services(settings, database, DatabaseClock(database) if clock is None else clock)
    except BaseException:
        database.close()
        raise


def _services(settings: Settings, database: Database, clock: Clock) -> Services:
    home = settings.home.absolute()
    authority = EmbeddedAuthority.load(home / "ca")
    key = KeyInUse(authority, clock)
    signer = RenewedSigner(key)
    tsa = EmbeddedTsa(authority, clock)
    log_key = Ed25519KeyHandle.load(home / "keys" / "log.pem")
    receipt_key = Ed25519KeyHandle.load(home / "keys" / "receipt.pem")
    policy = log_parts.witness_policy(settings)
    stores = open_stores(settings, clock)
    objects = OcflRoot(stores.originals)
    folder = settings.ffmpeg
    toolbox = functools.partial(
        open_toolbox,
        sandbox=settings.sandbox,
        ffmpeg=None if folder is None else folder / "ffmpeg",
        ffprobe=None if folder is None else folder / "ffprobe",
    )
    workshop = Workshop(
        database=database,
        clock=clock,
        objects=objects,
        renditions=stores.renditions,
        work=settings.local / "work",
        toolbox=functools.cache(toolbox),
        proxies={720: settings.proxy_720, 540: settings.proxy_540},
    )
    published = Published(database, public=home / "log", private=home / "log-entries")
    issuers = log_parts.issuers_of_all(settings, authority)
    anchors = Anchors(
        database,
        published,
        log_parts.authority_of_anchors(settings, tsa, clock),
        clock,
        lock=home / "run" / "anchors.lock",
        every=timedelta(minutes=settings.anchor_minutes),
        issuers_pem=issuers,
    )
    worm, locks = (
        WormProbes(database, clock, trial_of(settings)),
        LockRenewals(database, objects, clock, term_of(settings)),
    )
    journal = log_parts.journal(home, database, stores)
    webhooks = worker_parts.webhooks(settings, database)
    delivery = DeliveryJobs(webhooks, clock, timedelta(days=settings.event_days))
    mail = mail_jobs(settings, database, clock)
    complaints = ComplaintJobs(database, clock, ComplaintRules.load(settings.complaint_rules))
    retrievals = RetrievalJobs(database, clock, RetrievalRules.load(settings.retrieval_rules))
    register = CertificateRegister(database, authority.root)
    issuer = key_parts.issuer_of(settings, database, authority, clock, key_parts.house_token(settings, authority))
    certificate_ends = CertificateEnds(database, clock)
    renewals = record_parts.renewals(database, objects, tsa.token, authority, clock)
    evidence = renewal_parts.evidence_renewals(
        settings, database, objects, authority, tsa.token, renewals.long_term, clock
    )
    second = judging_parts.second_key(settings)
    records = record_parts.finished_records(
        database, stores.drafts, objects, signer, clock, second=second if settings.sm2_signature else None
    )
    seals = record_parts.seals(records.desk, issuer, tsa.token, clock)
    case_files = volume_parts.case_files(
        settings, database, objects, signer, key, authority, seals, renewals.long_term, workshop
    )
    trust = log_parts.trust_file(home, settings.origin, log_key, receipt_key, policy, issuers)
    identifiers = people_parts.identifiers(home, database)
    api_key_hashes = people_parts.api_key_hashes(home, database)
    database.hash_with(api_key_hashes)
    database.seal_with(WordSeal(home / "keys" / "words.key"))
    services = Services(
        settings=settings,
        database=database,
        clock=clock,
        stores=stores,
        objects=objects,
        renditions=stores.renditions,
        authority=authority,
        signer=signer,
        tsa=tsa,
        identifiers=identifiers,
        api_key_hashes=api_key_hashes,
        trust=trust,
        policy=policy,
        intake=Intake(
            database=database,
            clock=clock,
            objects=objects,
            quarantine=stores.quarantine,
            staging=settings.local / "staging",
            signer=signer,
            receipt_key=receipt_key,
            origin=settings.origin,
            policy=policy,
            algorithms=CN_PROFILE if settings.cn_profile else STANDARD,
            max_size_bytes=settings.max_upload_bytes,
            axis_waiting_bytes=settings.axis_waiting_bytes,
            upload_lifetime=timedelta(hours=settings.upload_lifetime_h),
            reserve_bytes=settings.reserve_bytes,
            direct=stores.direct,
            dock_limits=DockLimits(settings.dock_bytes_per_day, settings.dock_bytes_per_s, settings.dock_uploads),
            most_waiting_uploads=settings.most_waiting_uploads,
            most_due_jobs=settings.most_due_jobs,
            place=place_of(settings.local),
        ),
        doors=Doors(database, clock, home / "keys"),
        workshop=workshop,
        webhooks=webhooks,
        delivery=delivery,
        mail=mail,
        complaints=complaints,
        retrievals=retrievals,
        records=records,
        seals=seals,
        case_files=case_files,
        renewals=renewals,
        evidence=evidence,
        issuer=issuer,
        ocsp=EmbeddedOcsp(authority, register, clock),
        certificate_ends=certificate_ends,
        template_previews=template_parts.template_previews(),
        judge=judging_parts.judge(settings, authority, register, clock),
        known_second=() if second is None else (second.public.fingerprint,),
        report=judging_parts.report_maker(settings, key, tsa.token),
        rules=OrganisationRules.load(settings.organisation_rules),
        handlers={
            **worker_parts.handlers(workshop, settings, delivery),
            **mail.handlers,
            **complaints.handlers,
            **retrievals.handlers,
            **records.handlers,
            **renewals.handlers,
            **evidence.handlers,
            **certificate_ends.handlers,
            **case_files.handlers,
            **worm.handlers,
            **locks.handlers,
            **LateStamps(records.desk, tsa.token, clock).handlers,
        },
        fixity=Fixity(database, objects, clock, authority.root_pem),
        worm=worm,
        locks=locks,
        copies=copy_parts.copies(settings, database, stores.originals, clock),
        published=published,
        journal=journal,
        packager=package_parts.packager(
            settings, database, objects, stores, signer, key, tsa, anchors, trust, register, issuers, policy
        ),
        sequencer=Sequencer(
            database,
            origin=settings.origin,
            signers=[
                Signer(settings.origin, log_key),
                Signer(settings.origin, log_parts.second_log_key(home), MLDSA44),
            ],
            published=published,
            journal=journal,
            clock=clock,
        ),
        sequencer_lock=SequencerLock(database, home / "run" / "sequencer.lock"),
        cosign_rounds=log_parts.cosign_rounds(settings, database, policy, clock),
        anchors=anchors,
        anchor_rounds=AnchorRounds(
            anchors,
            clock,
            report=home / "run" / "anchors.json",
            upkeep=[tsa.prepare, lambda: crl(authority, clock, register=register)],
        ),
        sign_ins=people_parts.sign_ins(settings, database, identifiers),
        federation=people_parts.federation(settings, identifiers),
    )
    late = {**services.packages.handlers, **DirectJobs(services.intake).handlers, **services.drills.handlers}
    return replace(services, handlers={**services.handlers, **late})


def _host_names(settings: Settings) -> Sequence[str]:
    return [*settings.host_names, *([] if settings.host in {"0.0.0.0", "::"} else [settings.host])]  # noqa: S104


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
