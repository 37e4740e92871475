"""What this deployment enforces, and by what. Where it cannot promise something, it says so."""

import json
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, or_, select, text

from archive.access.rekeying import keys_of_second_factors
from archive.cases.indexing import missing_count
from archive.cases.rekeying import used_keys
from archive.complaints.complainants import keys_of_complainants
from archive.db.roles import role_standing
from archive.jobs.listings import queue_standings, stuck_queues
from archive.jobs.models import Job
from archive.jobs.queue import AWAY
from archive.kernel.findings import Finding, Outcome, Report, indeterminate, invalid, valid
from archive.ledger.cosign_rounds import last_outcomes
from archive.ledger.cosigning import standings
from archive.ledger.models import LogPending
from archive.ledger.proofs import head, pending_count
from archive.organisation.photos import keys_of_photos
from archive.ports.bell import BellAway
from archive.ports.blobs import StoreUnavailable
from archive.ports.identifiers import IdentifierUnreadable
from archive.ports.presigning import Presigner
from archive.wiring import Services, broker_parts
from archive.wiring.copy_parts import shared_hands
from ingest.media.programs import check_programs
from ingest.media.tools import check_tools
from ingest.room import NO_ROOM
from retention.copies import CopyStanding
from retention.models import RestoreDrill

_LONGEST_WAIT_S = 60.0
_LONGEST_UNCOPIED = timedelta(days=1)
_LONGEST_UNLOCKED = timedelta(days=1)


def examine(services: Services) -> Report:
    """Try every part that a promise rests on, and tell what was found."""
    return Report(
        (
            _database(services),
            _log_tables(services),
            _log(services),
            *_witnesses(services),
            _worm(services),
            _locks(services),
            *_copies(services),
            *_media(services),
            *replay_from_bucket(services),
            _certificate(services),
            _trust_lists(services),
            _secrets(services.settings.home),
            _identifiers(services),
            _jobs(services),
            _queues(services),
            _broker(services),
            _search(services),
        )
    )


def _database(services: Services) -> Finding:
    database = services.database
    with database.read() as tx:
        if not database.is_sqlite:
            names = ("fsync", "full_page_writes", "synchronous_commit")
            found = {name: tx.execute(text(f"SHOW {name}")).scalar() for name in names}
            told = "PostgreSQL, " + ", ".join(f"{name}={value}" for name, value in found.items())
            if "off" not in found.values():
                return valid("doctor.database", told)
            return invalid("doctor.database", f"{told}: acknowledged entries can be lost")
        journal = tx.execute(text("PRAGMA journal_mode")).scalar()
        synchronous = tx.execute(text("PRAGMA synchronous")).scalar()
    told = f"SQLite, journal_mode={journal}, synchronous={synchronous}"
    if (journal, synchronous) == ("wal", 2):
        return valid("doctor.database", told)
    return invalid("doctor.database", f"{told}: acknowledged entries can be lost")


def _log_tables(services: Services) -> Finding:
    code, database = "doctor.log_tables", services.database
    if database.is_sqlite:
        told = "whoever can write the database file can change it, and triggers are a seat belt only"
        return indeterminate(code, f"Log tables: {told}; what shows a change is the log, by checkpoints kept elsewhere")
    with database.read() as tx:
        found = role_standing(tx.connection())
    if found.is_own:
        told = "this role owns them: triggers are a seat belt only; see `liuhen db roles`"
        return indeterminate(code, f"Log tables: {told}")
    if found.beyond:
        may = ", ".join(found.beyond)
        return indeterminate(code, f"Log tables: owned by {found.owner}; this role still has: {may}")
    told = "this role cannot update, delete, truncate, or disable triggers"
    return valid(code, f"Log tables: owned by another role ({found.owner}); {told}")


def _log(services: Services) -> Finding:
    with services.database.read() as tx:
        newest, waiting = head(tx), pending_count(tx)
        oldest = tx.scalar(select(LogPending.entry_id).order_by(LogPending.entry_id).limit(1))
    if newest is None:
        return invalid("doctor.log", "The log has no checkpoint")
    if oldest is not None:
        waits_s = services.clock.now().timestamp() - (oldest.int >> 80) / 1000  # UUIDv7 begins with its milliseconds
        if waits_s > _LONGEST_WAIT_S:
            told = f"{waiting} entries wait for their checkpoint, the oldest for {waits_s:.0f} s"
            return indeterminate("doctor.log", f"{told}: is the sequencer running?")
    return valid("doctor.log", f"The log has {newest.size} entries under its newest checkpoint, {waiting} wait")


def _witnesses(services: Services) -> list[Finding]:
    code, policy = "doctor.witnesses", services.policy
    if not policy.witnesses:
        told = "No witness is configured: a log that shows different people different things is found only by comparing"
        return [indeterminate(code, told)]
    with services.database.read() as tx:
        newest, found = head(tx), standings(tx, policy)
    size, told_by = 0 if newest is None else newest.size, last_outcomes(services.run_folder / "witnesses.json")
    findings = []
    for standing in found:
        name, seen = standing.witness.name, standing.size or 0
        outcome = told_by.get(name, {}).get("outcome", "answers")
        told = f"Witness {name} has cosigned {seen} of {size} entries"
        if standing.witness.url is not None and outcome != "answers":
            findings.append(indeterminate(code, f"{told}; it fails since {told_by[name]['since']}: {outcome}"))
        elif seen < size:
            findings.append(indeterminate(code, told))
        else:
            findings.append(valid(code, told))
    return findings


def _worm(services: Services) -> Finding:
    """Say what the newest try of the store's locks has shown; what was not tried is not proven."""
    code, worm = "doctor.worm", services.worm
    with services.database.read() as tx:
        newest = worm.newest(tx)
    if newest is None:
        return indeterminate(
            code, f"WORM: not proven; not tried yet on {worm.trial.place}: run `liuhen doctor --probe`"
        )
    told = f"on {newest.place} on {newest.probed_at:%Y-%m-%d %H:%M} UTC"
    if newest.outcome == Outcome.VALID.value:
        return valid(code, f"WORM: proven {told}")
    failed = [found["code"] for found in json.loads(newest.findings) if found["outcome"] != Outcome.VALID.value]
    return indeterminate(code, f"WORM: not proven {told}: {', '.join(failed)}")


def _locks(services: Services) -> Finding:
    """Say what keeps originals from being deleted before their time, and whether it is up to date."""
    code, settings = "doctor.locks", services.settings
    if not settings.lock_days:
        return indeterminate(code, "Locks: none, since lock_days is 0")
    with services.database.read() as tx:
        waiting, oldest = services.locks.waiting(tx)
    now = services.clock.now()
    if oldest is not None and now - oldest > _LONGEST_UNLOCKED:
        told = (
            f"{waiting} plans wait to be held against the locks, the oldest for {(now - oldest).total_seconds():.0f} s"
        )
        return indeterminate(code, f"Locks: {told}: is a worker running, and is every object in the store?")
    if settings.store == "files":
        told = (
            "advisory: lock times beside the store, which the archive honours; whoever has its account can delete files"
        )
        return indeterminate(code, f"Locks: {told}")
    return valid(
        code, "Locks: Object Lock for as long as each object is kept, legal holds for what is permanent or on hold"
    )


def _copies(services: Services) -> list[Finding]:
    """Say whether there is a second copy, in whose hands, how far it is, and what restoring from it has shown."""
    code, settings = "doctor.copy", services.settings
    with services.database.read() as tx:
        standing, drill = services.copies.standing(tx), services.drills.newest(tx)
    if standing is None:
        return [indeterminate(code, "There is one copy only of what is kept: see copy_folder and copy_s3_bucket")]
    told = f"Second copy in {standing.place}"
    try:
        shared = shared_hands(settings)
    except StoreUnavailable as exc:
        hands = indeterminate(code, f"{told}: {exc.message}")
    else:
        hands = valid(code, f"{told}: other hands than the first")
        if shared is not None:
            reason = f"whoever can destroy the first copy can destroy it too, since {shared}"
            hands = indeterminate(code, f"{told}: {reason}")
    return [hands, _copied(services, standing), _drilled(services, drill)]


def _copied(services: Services, standing: CopyStanding) -> Finding:
    code, now = "doctor.copied", services.clock.now()
    if not standing.waiting:
        return valid(code, "Every version of every object was copied, read back and compared")
    since = "" if standing.oldest is None else f", the oldest for {(now - standing.oldest).total_seconds():.0f} s"
    told = f"{standing.waiting} objects ({standing.waiting_bytes} bytes) are not copied yet{since}"
    if standing.faults:
        return invalid(code, f"{told}; {standing.faults} cannot be: run `liuhen copy`, which names them")
    if standing.trouble is not None:
        return indeterminate(code, f"{told}; the copy cannot be written: {standing.trouble}")
    is_late = standing.oldest is not None and now - standing.oldest > _LONGEST_UNCOPIED
    return indeterminate(code, f"{told}: is a worker running?") if is_late else valid(code, told)


def _drilled(services: Services, drill: RestoreDrill | None) -> Finding:
    code, every = "doctor.drill", services.drills.every
    if drill is None:
        return indeterminate(code, "Restoring from the second copy was never tried: run `liuhen drill`")
    told = f"Restoring from the second copy was tried on {drill.drilled_at:%Y-%m-%d %H:%M} UTC: {drill.outcome}"
    if drill.outcome == Outcome.INVALID.value:
        return invalid(code, f"{told}; see `liuhen drill --last`")
    is_old = bool(every) and services.clock.now() - drill.drilled_at > 2 * every
    if drill.outcome != Outcome.VALID.value or is_old:
        return indeterminate(code, f"{told}; that is long ago" if is_old else f"{told}; see `liuhen drill --last`")
    return valid(code, told)


def _media(services: Services) -> list[Finding]:
    folder = services.settings.ffmpeg
    if folder is None:
        return [*check_tools(), *check_programs()]
    return [*check_tools(ffmpeg=folder / "ffmpeg", ffprobe=folder / "ffprobe"), *check_programs()]


def replay_from_bucket(services: Services) -> list[Finding]:
    """Ask the bucket, where it sends what is replayed, whether it lets the archive's pages read it."""
    code, origin, store = "doctor.replay", services.settings.public_origin, services.renditions
    if services.settings.send_bytes != "redirect" or not isinstance(store, Presigner):
        return []
    if origin is None:
        return [invalid(code, "Replay comes from the bucket, and the setting public_origin says not for which pages")]
    try:
        lets_read = store.lets_read(origin)
    except StoreUnavailable as error:
        return [indeterminate(code, f"Whether the bucket lets pages read what is replayed: {error.message}")]
    if not lets_read:
        told = f"The bucket does not let pages of {origin} read ranges: set its CORS rules (docs/guide/proxy.md)"
        return [invalid(code, told, store.origin)]
    return [valid(code, f"The bucket lets pages of {origin} read what is replayed", store.origin)]


def _certificate(services: Services) -> Finding:
    certificate = services.authority.tls_certificate()
    left = (certificate.not_valid_after_utc - services.clock.now()).days
    told = f"The server's certificate is self-issued and ends in {left} days"
    return valid("doctor.certificate", told) if left > 0 else invalid("doctor.certificate", told)


def _trust_lists(services: Services) -> Finding:
    """Say whom signatures are judged by: the embedded authority alone, or lists too, of which some may be broken."""
    code, lists = "doctor.trust_lists", services.judge.lists()
    if broken := [f"{each.name}: {each.fault}" for each in lists if each.fault]:
        return invalid(code, f"Trust lists: {'; '.join(broken)}; nothing of these is trusted")
    told = ", ".join(each.name if each.dated is None else f"{each.name} of {each.dated}" for each in lists)
    return valid(code, f"Trust lists: {told}")


def _secrets(home: Path) -> Finding:
    secret = [*(home / "keys").iterdir(), *home.glob("liuhen.sqlite3*")]
    exposed = [str(path) for path in secret if path.stat().st_mode & 0o077]
    if exposed:
        return invalid("doctor.secrets", "A private key or the database can be read by others", ", ".join(exposed))
    return valid("doctor.secrets", "Private keys and database can be read by their owner only")


def _identifiers(services: Services) -> Finding:
    with services.database.read() as tx:
        used = {*used_keys(tx), *keys_of_second_factors(tx), *keys_of_complainants(tx), *keys_of_photos(tx)}
    try:
        missing = sorted(used - set(services.identifiers.key_ids))
    except IdentifierUnreadable as error:
        return invalid("doctor.identifiers", f"The numbers of subjects cannot be opened: {error.message}")
    if missing:
        told = "Numbers of subjects are under keys that the key file lacks"
        return invalid("doctor.identifiers", told, ", ".join(missing))
    return valid("doctor.identifiers", "The key file has every key that numbers of subjects and complainants are under")


def _search(services: Services) -> Finding:
    with services.database.read() as tx:
        missing = missing_count(tx)
    if missing:
        return invalid("doctor.search", f"{missing} things are not in the search index: run `liuhen search rebuild`")
    return valid("doctor.search", "The search index knows everything in the catalogue")


def _queues(services: Services) -> Finding:
    """Say whether jobs are worked on: not whether workers live, which they may without doing anything."""
    code, at = "doctor.queues", services.clock.now()
    with services.database.read() as tx:
        standings = queue_standings(tx, at=at)
        refused = tx.scalar(select(func.count()).where(Job.state == "ready", Job.last_error.startswith(NO_ROOM)))
        is_away = or_(*(Job.last_error.startswith(f"{each}:") for each in sorted(AWAY)))
        put_off = tx.scalar(select(func.count()).where(Job.state == "ready", is_away))
    told = ", ".join(
        f"{queue} {standing.due} (oldest {standing.oldest_age_s(at):.0f} s)"
        for queue, standing in standings.items()
        if standing.due
    )
    stuck = stuck_queues(standings, at=at, after_s=services.settings.oldest_job_alarm_s)
    if stuck:
        names = ", ".join(sorted(stuck))
        return indeterminate(code, f"Jobs wait for too long in {names}: does a worker run for each? Due: {told}")
    if refused:
        return indeterminate(code, f"{refused} jobs wait for a machine with room on its disk")
    if put_off:
        return indeterminate(code, f"{put_off} jobs wait for what was away or full: `liuhen jobs` names it")
    return valid(code, f"Jobs are worked on in time; due: {told or 'none'}")


def _broker(services: Services) -> Finding:
    code = "doctor.broker"
    if services.settings.broker_url is None:
        return valid(code, "No broker: each worker looks for jobs itself")
    try:
        exchange = broker_parts.exchange(services.settings)
        waiting = sum(exchange.bell.unheard(queue) for queue in broker_parts.WORKED_ON)
    except BellAway as error:
        return indeterminate(code, f"The broker does not answer ({error.facts['cause']}): jobs wait until it is back")
    return valid(code, f"The broker answers; {waiting} messages wait for workers")


def _jobs(services: Services) -> Finding:
    with services.database.read() as tx:
        dead = tx.scalars(select(Job.id).where(Job.state == "dead")).all()
    if dead:
        return invalid("doctor.jobs", f"{len(dead)} jobs were given up")
    return valid("doctor.jobs", "No job was given up")
