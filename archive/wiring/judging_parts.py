"""Putting together what judges signed files: the sandbox, the trust lists of the house, and what makes the reports."""

import contextlib

from archive.documents.faces import SONG
from archive.documents.typesetting import Typesetter
from archive.ports.clock import Clock
from archive.ports.revocations import RevocationRegister
from archive.settings import Settings
from ingest.judgement_reports import ReportMaker
from ingest.judgements import Judge
from ingest.media.sandbox import Sandbox
from signing.authority import EmbeddedAuthority
from signing.key_wrap import FileKeyWrapper
from signing.keyfiles import KeyExists, KeyMissing
from signing.pades import Token
from signing.renewed_signer import KeyInUse, RenewedPadesSigner
from signing.revocation import crl
from signing.secret_file import secret_from_file
from signing.sm2 import Sm2Key
from signing.typefaces import Typeface
from signing.validation.lists import embedded_list, read_lists


def judge(settings: Settings, authority: EmbeddedAuthority, register: RevocationRegister, clock: Clock) -> Judge:
    """Return what judges by the embedded authority, marked self-issued, and by the lists that the operator keeps."""
    return Judge(
        Sandbox(settings.sandbox),
        clock,
        lambda: (
            embedded_list(authority.root, crl=crl(authority, clock, register=register)),
            *read_lists(settings.trust_lists),
        ),
    )


def report_maker(settings: Settings, key: KeyInUse, token: Token) -> ReportMaker:
    """Return what sets reports on judgements, and signs and stamps them in the archive's own name."""
    signer = RenewedPadesSigner(key, token, Typeface(SONG))
    return ReportMaker(Typesetter("validation"), signer, settings.organisation)


def second_key(settings: Settings) -> Sm2Key | None:
    """Return the key of second signatures; it is made where the settings ask for one and there is none yet.

    One that was made stays known when the setting is off again. Raises: KeyExposed, KeyUnreadable, StorageFull.
    """
    keys = settings.home.absolute() / "keys"
    path, secret = keys / "sm2.json", keys / "sm2.kek"
    if settings.sm2_signature and not path.exists():
        secret_from_file(secret)
        with contextlib.suppress(KeyExists):  # another process was quicker
            return Sm2Key.generate(path, wrapper=FileKeyWrapper(secret))
    try:
        return Sm2Key.load(path, wrapper=FileKeyWrapper(secret))
    except KeyMissing:
        if path.exists():
            raise
        return None
