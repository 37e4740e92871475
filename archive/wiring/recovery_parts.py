"""Putting together what brings an archive back, from the stores and keys that are left."""

from pathlib import Path
from typing import Final

from archive.complaints.rules import ComplaintRules
from archive.evidence.grouping import RecordingRules
from archive.kernel.errors import LiuhenError
from archive.kernel.ids import WebhookId
from archive.notify.signature import secret_hash, webhook_secret
from archive.recovery.log_source import LogSource
from archive.recovery.recovering import Recovery
from archive.recovery.sources import Sources
from archive.wiring import Services
from signing.sealed_words import WordSeal
from signing.secret_file import secret_from_file

_KEYS: Final = ("log.pem", "log-mldsa.pem", "receipt.pem", "journal.key", "subjects.key")


class KeysLost(LiuhenError):
    """Keys of this archive are missing: put them back from a backup. Without them nothing can be opened or proven."""

    code = "recovery.keys_lost"
    exit_code = 66


def require_keys(home: Path) -> None:
    """Refuse to recover without the keys: opening an archive would make new ones. Raises: KeysLost."""
    missing = [name for name in _KEYS if not (home / "keys" / name).is_file()]
    if missing:
        raise KeysLost(missing=", ".join(missing), folder=str(home / "keys"))


def sources_of(services: Services) -> Sources:
    """Return the stores as they are left, and the rules that some columns follow from."""
    settings, home = services.settings, services.settings.home.absolute()
    key = secret_from_file(home / "keys" / "webhooks.key")
    return Sources(
        objects=services.objects,
        renditions=services.renditions,
        quarantine=services.stores.quarantine,
        drafts=services.records.desk.store,
        complaint_rules=ComplaintRules.load(settings.complaint_rules),
        recording_rules=RecordingRules.load(home / "recording-rules.toml"),
        hold_rules=services.holding.rules,
        words=WordSeal(home / "keys" / "words.key"),
        webhook_hash=lambda webhook_id, version: secret_hash(webhook_secret(key, WebhookId(webhook_id), version)),
    )


def recovery_of(services: Services, sources: Sources) -> Recovery:
    """Return what brings the log and the catalogue back. Raises: LogLost, LogForeign."""
    source = LogSource(
        services.published,
        services.journal,
        sources,
        keys=services.trust.logs,
        origin=services.settings.origin,
    )
    signers = services.sequencer.signers
    return Recovery(services.database, source, sources, signers, services.settings.home.absolute())
