"""The log against itself: every leaf, every node, every checkpoint, computed anew from the bytes of the entries.

Source: RFC 6962 section 2.1; C2SP tlog-checkpoint and signed-note.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from archive.db.append_only import missing
from archive.fsck.held import Held, check_held
from archive.fsck.keys import Pinned
from archive.fsck.notes import read_head, signed, stated_times
from archive.fsck.raw import as_instant, as_uuid, read_object, rows
from archive.fsck.standing import Standing, time_of
from archive.kernel.findings import Finding, indeterminate, invalid, valid

_MOST_TOLD: Final = 20


def check_log(
    connection: Connection, *, published: str | None, pinned: Pinned, held: Sequence[Held] = (), standing: Standing
) -> Iterator[Finding]:
    """Yield findings on entries, tree, checkpoints, the published checkpoint and those that others hold.

    What the log holds up to is put into `standing`.
    """
    yield from _triggers(connection)
    yield from _entries(connection)
    roots, size = {}, 0
    faults: list[Finding] = []
    checkpoints = list(rows(connection, "SELECT * FROM log_checkpoint ORDER BY size"))
    wanted = {int(row["size"]) for row in checkpoints} | {each.head.size for each in held}
    stored = _nodes(connection)
    edge: list[tuple[int, bytes]] = []
    if 0 in wanted:
        roots[0] = hashlib.sha256(b"").digest()
    for row in rows(
        connection,
        "SELECT l.leaf_index, e.body FROM log_leaf l JOIN log_entry e ON e.id = l.entry_id ORDER BY l.leaf_index",
    ):
        if int(row["leaf_index"]) != size:
            faults.append(invalid("fsck.log_gap", "An index of the log is missing", str(size)))
            break
        _grow(edge, size, hashlib.sha256(b"\x00" + bytes(row["body"])).digest(), stored, faults)
        size += 1
        if size in wanted:
            roots[size] = _root(edge)
    if stored:
        faults.append(invalid("fsck.log_node", "The tree has stored nodes that no entry explains", str(min(stored))))
    yield from faults[:_MOST_TOLD]
    if not faults:
        yield valid("fsck.log_tree", f"{size} entries hash to the stored tree")
    yield from _checkpoints(checkpoints, roots, size, pinned)
    yield from _published(published, checkpoints)
    if checkpoints:
        newest = read_head(checkpoints[-1]["note"])
        standing.size = int(checkpoints[-1]["size"])
        standing.time = time_of(connection, newest, standing.size, pinned)
        standing.origin = newest.origin
    yield from check_held(held, roots, pinned=pinned, standing=standing)


def _triggers(connection: Connection) -> Iterator[Finding]:
    gone = list(missing(connection))
    for name in gone:
        yield invalid("fsck.trigger_missing", "A trigger that keeps the log append-only is gone or changed", name)
    if not gone:
        yield valid("fsck.triggers", "The triggers that keep the log append-only are in place")


def _entries(connection: Connection) -> Iterator[Finding]:
    faults = []
    for row in rows(
        connection,
        "SELECT e.id, e.body, d.salt, d.detail FROM log_entry e LEFT JOIN log_detail d ON d.entry_id = e.id",
    ):
        where, body = as_uuid(row["id"]), bytes(row["body"])
        fields = read_object(body)
        if fields is None:
            faults.append(invalid("fsck.entry_malformed", "An entry is no JSON object", where))
            continue
        again = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(errors="replace")
        if again != body or fields.get("id") != where:
            faults.append(invalid("fsck.entry_malformed", "An entry is not canonical or has another id", where))
        if row["detail"] is not None:
            opened = hashlib.sha256(bytes(row["salt"]) + bytes(row["detail"])).hexdigest()
            if opened != fields.get("detail_c"):
                faults.append(invalid("fsck.detail_changed", "An entry's detail is not what it commits to", where))
    lost = rows(
        connection,
        "SELECT e.id FROM log_entry e LEFT JOIN log_leaf l ON l.entry_id = e.id "
        "LEFT JOIN log_pending p ON p.entry_id = e.id "
        "WHERE (l.entry_id IS NULL) = (p.entry_id IS NULL)",
    )
    faults.extend(
        invalid("fsck.entry_lost", "An entry is neither in the log nor waiting, or both", as_uuid(row["id"]))
        for row in lost
    )
    yield from faults[:_MOST_TOLD]
    if not faults:
        yield valid(
            "fsck.entries", "Every entry is canonical, opens its commitment, and is in the log or waiting for it"
        )


def _nodes(connection: Connection) -> dict[tuple[int, int], bytes]:
    return {
        (int(row["level"]), int(row["position"])): bytes(row["hash"])
        for row in rows(connection, "SELECT level, position, hash FROM log_node")
    }


def _grow(
    edge: list[tuple[int, bytes]],
    index: int,
    leaf: bytes,
    stored: dict[tuple[int, int], bytes],
    faults: list[Finding],
) -> None:
    """Add a leaf to the edge (level, hash), and hold each finished subtree against the stored node."""
    level, position, value = 0, index, leaf
    while True:
        if stored.pop((level, position), None) != value:
            faults.append(
                invalid("fsck.log_node", "A stored node is not the hash of its entries", f"{level}/{position}")
            )
        if position % 2 == 0:
            break
        level, position, value = level + 1, position // 2, hashlib.sha256(b"\x01" + edge.pop()[1] + value).digest()
    edge.append((level, value))


def _root(edge: list[tuple[int, bytes]]) -> bytes:
    value = edge[-1][1]
    for _, left in reversed(edge[:-1]):
        value = hashlib.sha256(b"\x01" + left + value).digest()
    return value


def _checkpoints(checkpoints: list[Any], roots: Mapping[int, bytes], size: int, pinned: Pinned) -> Iterator[Finding]:
    if not checkpoints:
        yield invalid("fsck.checkpoint", "The log has no checkpoint")
        return
    faults = []
    before = None
    for row in checkpoints:
        where = str(row["size"])
        if row["previous_size"] != before:
            faults.append(invalid("fsck.checkpoint_fork", "A checkpoint does not follow the one before it", where))
        before = row["size"]
        if roots.get(int(row["size"])) != bytes(row["root"]):
            faults.append(invalid("fsck.checkpoint_root", "A checkpoint's root is not that of the entries", where))
        faults.extend(_note_faults(row, pinned))
    if int(checkpoints[-1]["size"]) != size:
        faults.append(invalid("fsck.checkpoint", "The newest checkpoint does not cover every indexed entry", str(size)))
    yield from faults[:_MOST_TOLD]
    if not pinned.logs:
        told = "No key from outside is one of a log" if pinned.is_from_outside else "There is no trust file to be read"
        yield indeterminate("fsck.checkpoint_signature", f"{told}, so no checkpoint's signature was checked")
    elif not faults:
        yield valid(
            "fsck.checkpoints", f"{len(checkpoints)} checkpoints follow each other, are signed and fit the entries"
        )


def _note_faults(row: Mapping[str, Any], pinned: Pinned) -> Iterator[Finding]:
    head, where = read_head(row["note"]), str(row["size"])
    if head.stated != [where, base64.b64encode(bytes(row["root"])).decode()]:
        yield invalid("fsck.checkpoint_note", "A checkpoint's note says something else than its row", where)
    keys = pinned.keys_of(head.origin)
    known = [signed(head, key) for key in keys]
    if pinned.logs and (True not in known or False in known):
        yield invalid("fsck.checkpoint_signature", "A checkpoint is not signed by the log's key", where)
    issued_s = int(as_instant(row["issued_at"]).timestamp())
    if any(time_s != issued_s for time_s in stated_times(head, keys)):
        yield invalid("fsck.checkpoint_time", "A checkpoint was not issued when its signature says", where)


def read_published(path: Path) -> str | None:
    """Return the published checkpoint as it is; None when there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _published(published: str | None, checkpoints: list[Any]) -> Iterator[Finding]:
    where = "log/checkpoint"
    if published is None:
        yield invalid("fsck.published", "No checkpoint is published", where)
    elif not any(_is_note(published, row["note"]) for row in checkpoints):
        yield invalid("fsck.published", "The published checkpoint is not one of this log", where)
    else:
        yield valid("fsck.published", "The published checkpoint is one of this log", where)


def _is_note(published: str, note: str) -> bool:
    """Whether a note is what the log has signed, with nothing but further signature lines below it."""
    # Parted at newlines only: `splitlines` takes other characters for an end of line too, which a flipped bit can make.
    *lines, rest = published.removeprefix(note).split("\n")
    return published.startswith(note) and not rest and all(line.startswith("— ") for line in lines)
