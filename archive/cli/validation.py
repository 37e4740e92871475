"""`liuhen validate`: judging the signatures of any PDF or signature file, offline, with or without an archive."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archive.cli.options import AsJson, Home, opened
from archive.cli.reports import exit_code
from archive.kernel.findings import Outcome

if TYPE_CHECKING:
    from archive.wiring import Services
    from ingest.judgements import Judge, Judgement


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate")(validate)


def validate(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Signed PDF, or the file that was signed.")],
    signature: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Signature of the file, in a file of its own.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of a trust list, or of several.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the signed report here; needs an archive.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Judge the signatures of a PDF, or of a file with its signature: who, when, revoked, changed since.

    By the lists that are named; with --home, or for a report, by the archive's own authority and its lists too.
    Exit code 0: valid. 1: invalid. 2: indeterminate, for example because no list vouches for the signer.
    """
    from ingest.arriving import hashed_file

    with ExitStack() as opening:
        services = None if home is None and report is None else opening.enter_context(opened(home))
        named = hashed_file(file)
        judge = _judge(services, trust)
        judged = judge.judge(named) if signature is None else judge.judge(hashed_file(signature), content=named)
        if report is not None and services is not None:
            _write_report(services, judged, report)
    if as_json:
        print(json.dumps({"checked": str(file), **judged.as_json()}, ensure_ascii=False))
    else:
        _print(judged, str(file))
    raise typer.Exit(exit_code(judged.outcome))


def _judge(services: "Services | None", trust: Path | None) -> "Judge":
    """Return what judges by the lists of the folder, and by those of the archive where one is open."""
    from archive.kernel.clock import SystemClock
    from ingest.judgements import Judge
    from ingest.media.sandbox import Sandbox
    from signing.validation.lists import read_lists

    if services is None:
        return Judge(Sandbox("required"), SystemClock(), lambda: read_lists(trust))
    own = services.judge
    return replace(own, lists=lambda: (*own.lists(), *read_lists(trust)))


def _write_report(services: "Services", judged: "Judgement", path: Path) -> None:
    from archive.kernel.ids import JudgementId, new_uuid7
    from archive.ledger.entries import OPERATOR
    from archive.web.judgement_words import WORDS
    from ingest.judgement_reports import issue_report

    number, at = JudgementId(new_uuid7()), services.clock.now()
    made = issue_report(services.database, services.report, judged, number, words=WORDS, by=OPERATOR, at=at)
    path.write_bytes(made)


def _print(judged: "Judgement", what: str) -> None:
    """Print what is wrong, each signature, and the verdict in one sentence; no file can steer the terminal."""
    from archive.web.judgement_words import sentence_of
    from ingest.agent.printable import printable

    for each in judged.findings:
        if each["outcome"] != Outcome.VALID.value:
            told = f"{each['outcome']:14}{each['message']}  {each['where']}  [{each['code']}]"
            print(printable(told), file=sys.stderr)
    for one in judged.lists:
        if one["fault"]:
            print(printable(f"the trust list {one['name']} cannot be used: {one['fault']}"), file=sys.stderr)
    for found in judged.verdict["signatures"]:
        print(printable("  ".join(_facts(found))))
    print(printable(f"{judged.outcome.value}: {what}: {sentence_of(judged)[1]}"))


def _facts(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what one line says of a signature."""
    yield f"{found['outcome']:14}{found['level']:5}"
    if found["signer"] is None:
        return
    yield str(found["signer"]["subject"])
    yield f"proven {found['proven_at']}" if found["proven_at"] else f"claimed {found['claimed_at']}, not proven"
    yield f"revocation {found['revocation']}"
    yield f"by {found['signer']['trusted_as']}" if found["signer"]["trusted_as"] else "on no trust list"
