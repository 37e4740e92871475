"""For auditors: following the log, proving one entry, taking a copy, and checking a copy without the archive."""

import json
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from archive.cli.options import AsJson, Home, opened, subcommands
from archive.cli.reports import exit_code, print_report, small_file
from archive.kernel.findings import Outcome
from archive.kernel.instants import format_instant

_FOLLOW_S: Final = 1.0


def register(app: typer.Typer) -> None:
    """Add the commands of the log."""
    log = subcommands(app, "log", help_text="The transparency log.")
    for command in (tail, prove, anchor, mirror, monitor, health):
        log.command()(command)


def tail(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="How many of the newest.")] = 20,
    home: Home = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as entries come.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the newest entries that a checkpoint covers, the oldest of them first."""
    from archive.ledger.listings import entries_from, newest_entries

    with opened(home) as services:
        with services.database.read() as tx:
            shown = list(reversed(newest_entries(tx, limit=count)))
        after = shown[-1].index + 1 if shown else 0
        while True:
            for entry in shown:
                print(entry.body.decode() if as_json else _line(entry.index, entry.body), flush=follow)
            if not follow:
                return
            time.sleep(_FOLLOW_S)
            with services.database.read() as tx:
                shown = list(entries_from(tx, after))
            after += len(shown)


def prove(
    which: Annotated[str, typer.Argument(help="Index of an entry, or its id.")],
    out: Annotated[Path | None, typer.Option(help="File to write; printed by default.")] = None,
    home: Home = None,
) -> None:
    """Hand out the proof that an entry is in the log (C2SP tlog-proof), under the newest checkpoint."""
    from archive.kernel.ids import EntryId, parse_uuid
    from archive.ledger.proofs import LeafNotFound, inclusion, inclusion_at

    with opened(home) as services, services.database.read() as tx:
        proof = inclusion_at(tx, int(which)) if _is_index(which) else inclusion(tx, EntryId(parse_uuid(which)))
    if proof is None:
        raise LeafNotFound(entry=which)
    if out is None:
        print(proof, end="")
    else:
        out.write_text(str(proof), encoding="utf-8")


def anchor(
    home: Home = None,
    *,
    renew: Annotated[bool, typer.Option("--renew", help="Stamp all anchors anew with one token (RFC 4998).")] = False,
    as_json: AsJson = False,
) -> None:
    """Timestamp the newest published checkpoint now (RFC 3161), without waiting for the next round."""
    with opened(home) as services:
        made = services.anchors.renew() if renew else services.anchors.anchor()
        newest = made or next(iter(reversed(services.anchors.links())), None)
    told = {
        "made": made is not None,
        "size": 0 if newest is None else newest.size,
        "time": None if newest is None else format_instant(newest.at),
        "file": None if newest is None else f"log/anchors/{newest.token_name}",
    }
    if as_json:
        print(json.dumps(told))
    elif newest is None:
        print("The log has nothing that could be anchored yet.")
    else:
        print(f"{told['file']}: {newest.size} entries at {told['time']}{'' if made else ' (nothing new since)'}")


def mirror(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where the copy goes.")], home: Home = None
) -> None:
    """Copy checkpoint, tiles and entries as plain files, or bring an older copy up to date."""
    from archive.ledger.mirror import mirror as copied

    with opened(home) as services:
        head = copied(services.published, folder)
    print(f"{folder}: {head.size} entries of {head.origin}")


def monitor(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A copy of the log.")],
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Trust file with the pinned keys, from elsewhere.")
    ] = None,
    state: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the head that was seen is kept.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check a copy of the log whole, offline, with its anchors, against pinned keys and what was seen before.

    Exit code 0: valid. 1: invalid. 2: indeterminate, for example because no key from outside was given.
    """
    from archive.kernel.findings import Report
    from archive.ledger.mirror import read_note, read_tile
    from archive.ledger.monitor import Seen
    from archive.ledger.monitor import monitor as checked
    from archive.ledger.trustfile import TrustFile
    from archive.packages.anchored_copy import SeenAnchors, check_anchored

    trust = None if key is None else TrustFile.parse(small_file(key))
    kept = None if state is None or not state.exists() else json.loads(small_file(state))
    found = checked(
        read_note(folder),
        lambda tile: read_tile(folder, tile),
        trust=trust,
        seen=None if kept is None else Seen.from_json(kept),
    )
    anchors = check_anchored(
        folder / "anchors",
        found.head,
        lambda tile: read_tile(folder, tile),
        trust=trust,
        seen=SeenAnchors.from_json(kept["anchors"]) if isinstance(kept, dict) and "anchors" in kept else None,
    )
    report = Report((*found.report.findings, *anchors))
    told = {"up_to": {"size": found.head.size, "time": found.time}, "origin": found.head.origin}
    code = print_report(report, str(folder), as_json=as_json, more=told)
    if not as_json:
        print(f"complete up to entry {found.head.size}, {found.time or 'without a time'}")
    if state is not None and report.outcome is not Outcome.INVALID:
        last = SeenAnchors.of(folder / "anchors")
        keeping = {**Seen.of(found.head).as_json(), **({} if last is None else {"anchors": last.as_json()})}
        fresh = state.with_name(f"{state.name}.new")
        fresh.write_text(json.dumps(keeping), encoding="utf-8")
        fresh.replace(state)
    raise typer.Exit(code)


def health(home: Home = None, *, as_json: AsJson = False) -> None:
    """Tell how the log stands: signed, whole at its edge, published, witnessed, counting.

    Exit code 0: valid. 1: invalid. 2: indeterminate, for example because no witness is asked for.
    """
    with opened(home) as services:
        found = services.log_health()
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        for finding in found.report.findings:
            print(f"{finding.outcome.value:14}{finding.message}  {finding.where}  [{finding.code}]")
        counts = "no quorum is asked for" if found.quorum is None else f"counts up to {found.counted_size or 0}"
        print(
            f"{found.report.outcome.value}: {found.origin}, {found.size} entries, {found.pending} wait, "
            f"published {found.published_size or 0}, {counts}"
        )
    raise typer.Exit(exit_code(found.report.outcome))


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _line(index: int, body: bytes) -> str:
    entry = json.loads(body)
    target = entry.get("obj", {})
    about = f"{target['kind']} {target['id']}" if target else entry.get("case", "")
    return f"{index:>9}  {entry['t']}  {entry['type']:26}  {entry['actor']}  {about}"
