"""For auditors: checking without trusting. Imports little, so that `liuhen verify` starts at once."""

import contextlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from archive.cli.reports import exit_code, print_report, small_file
from archive.kernel.digests import STANDARD, hash_stream
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Report

if TYPE_CHECKING:
    from archive.fsck import Outside

_DIGEST: Final = re.compile("sha256:([0-9a-f]{64})")


class ReceiptMissing(InvalidInput):
    """A recording is checked against its receipt: name it with --receipt."""

    code = "verify.receipt_missing"
    exit_code = 64


class ReceiptOfFolder(InvalidInput):
    """A receipt is for one recording; a folder is checked as a case package, without a receipt."""

    code = "verify.receipt_of_folder"
    exit_code = 64


class RootUnreadable(InvalidInput):
    """A root is given as sha256: with 64 hexadecimal digits, or as a file with certificates in PEM."""

    code = "verify.root_unreadable"
    exit_code = 65


def register(app: typer.Typer) -> None:
    """Add the auditors' commands."""
    app.command("verify")(verify)
    app.command("fsck")(fsck_)
    app.command("doctor")(doctor_)


def verify(
    path: Annotated[Path, typer.Argument(exists=True, help="The folder of a case package, or a recording.")],
    receipt: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The receipt that came for a recording.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Trust file with the pinned keys, from elsewhere.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Copy of the log: shows that no entry is missing.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Remember digests here, so that a later run can go on.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Check a case package, or a recording against its receipt: offline, without server and database.

    Exit code 0: valid. 1: invalid. 2: indeterminate, for example because no key from outside was given.
    """
    if path.is_dir():
        if receipt is not None:
            raise ReceiptOfFolder
        raise typer.Exit(_verify_package(path, key=key, log=log, state=state, as_json=as_json))
    if receipt is None:
        raise ReceiptMissing
    raise typer.Exit(_verify_recording(path, receipt, key, as_json=as_json))


def _verify_recording(file: Path, receipt: Path, key: Path | None, *, as_json: bool) -> int:
    from archive.ledger.receipt import verify_receipt
    from archive.ledger.trustfile import TrustFile

    envelope = small_file(receipt)
    trust = None if key is None else TrustFile.parse(small_file(key))
    with file.open("rb", buffering=0) as source:
        digests = hash_stream(source, algorithms=STANDARD)
    report = verify_receipt(envelope, trust=trust, digests=digests, manifest=None)
    return print_report(report, str(file), as_json=as_json)


def _verify_package(place: Path, *, key: Path | None, log: Path | None, state: Path | None, as_json: bool) -> int:
    from archive.kernel.clock import SystemClock
    from archive.ledger.trustfile import TrustFile
    from archive.packages.verification.check import Given, check_package

    trust = None if key is None else TrustFile.parse(small_file(key))
    progress = _show_progress if sys.stderr.isatty() and not as_json else None
    given = Given(trust=trust, log=log, state=state)
    report = check_package(place, given=given, now=SystemClock().now(), progress=progress)
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False))
        return exit_code(report.outcome)
    code = print_report(Report(report.findings), report.checked, as_json=False)
    unaltered, complete = report.outcomes
    print(f"unaltered: {unaltered.value}")
    until = "" if report.size is None else f" up to entry {report.size}, {report.time}"
    print(f"complete{until}: {complete.value}")
    return code


def _show_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r{done * 100 // max(total, 1):3} %", end=end, file=sys.stderr, flush=True)


def fsck_(
    home: Annotated[Path | None, typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).")] = None,
    key: Annotated[
        str | None, typer.Option(help="Trust file with the pinned keys, from elsewhere; or one key of the log as text.")
    ] = None,
    root: Annotated[
        list[str] | None, typer.Option(help="Root certificate from elsewhere: PEM file or sha256:…; repeatable.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False, help="Checkpoint held from earlier or elsewhere, a witness's too; repeatable."
        ),
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Read the second copy too, and compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Check stores, log and catalogue raw and against each other. Exit codes as of `verify`.

    Without --key the home's own keys are used: the archive then agrees with itself, and who signed is not established.
    """
    from archive.db.database import Database
    from archive.fsck import Target, fsck
    from archive.kernel.clock import SystemClock
    from archive.settings import load_settings
    from archive.wiring import HomeMissing
    from archive.wiring.copy_parts import second_copy
    from archive.wiring.stores import places_of, require_store
    from retention.copies import NoCopyConfigured

    outside = None if key is None and not root else _outside(key, root or [])
    held = [(str(path), _checkpoint(path)) for path in checkpoint or []]
    settings = load_settings(home=home)
    if not (settings.home / "keys").is_dir():
        raise HomeMissing(home=str(settings.home))
    with contextlib.closing(Database(settings.effective_database_url)) as database:
        require_store(database, settings)
        root_file, places = settings.home / "ca" / "root.cert.pem", places_of(settings, SystemClock())
        second = second_copy(settings, SystemClock()) if copy else None
        if copy and second is None:
            raise NoCopyConfigured
        now = SystemClock().now()
        report = fsck(Target(settings.home, database, root_file, outside, held, places, second, now))
    code = print_report(report, str(settings.home), as_json=as_json)
    if not as_json:
        print("\n".join(report.summary()))
    raise typer.Exit(code)


def _outside(key: str | None, roots: Sequence[str]) -> "Outside":
    """Return what was brought along. Raises: MalformedTrustFile, MalformedKey, RootUnreadable; OSError."""
    from archive.fsck import Outside
    from archive.ledger.note import VerifierKey
    from archive.ledger.trustfile import TrustFile

    raw = b""
    if key is not None:
        raw = small_file(Path(key)) if Path(key).is_file() else str(TrustFile((VerifierKey.parse(key),))).encode()
        TrustFile.parse(raw)
    digests, certificates = set(), []
    for each in roots:
        if (found := _DIGEST.fullmatch(each)) is not None:
            digests.add(bytes.fromhex(found[1]))
        elif each.startswith("sha256:"):
            raise RootUnreadable(given=each)
        else:
            pem = small_file(Path(each)).decode("ascii", "replace")
            blocks = _certificate_digests(pem)
            if not blocks:
                raise RootUnreadable(given=each)
            digests |= blocks
            certificates.append(pem)
    return Outside(raw, frozenset(digests), "\n".join(certificates))


def _certificate_digests(pem: str) -> set[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        return {each.fingerprint(SHA256()) for each in x509.load_pem_x509_certificates(pem.encode())}
    except ValueError:
        return set()


def _checkpoint(path: Path) -> str:
    """Return a checkpoint in its one form. Raises: MalformedNote, MalformedCheckpoint, OSError."""
    from archive.ledger.checkpoint import Checkpoint
    from archive.ledger.note import SignedNote

    note = SignedNote.parse(small_file(path))
    Checkpoint.parse(note.text)
    return note.to_bytes().decode()


def doctor_(
    home: Annotated[Path | None, typer.Option("--home", help="Folder of the archive (or LIUHEN_HOME).")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Try now whether the store's locks hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Say which promises this deployment keeps, and by what. Exit codes as of `verify`."""
    from archive.cli.options import opened
    from archive.doctor import examine
    from archive.ledger.entries import OPERATOR

    with opened(home) as services:
        if probe:
            services.worm.run(by=OPERATOR)
        report = examine(services)
        if not as_json:
            for finding in report.findings:
                print(f"{finding.outcome.value:14}{finding.message}  [{finding.code}]")
        raise typer.Exit(print_report(report, str(services.settings.home), as_json=as_json))
