"""The keys of docks against the log: each was given out with an entry, opens its dock's own door, and the newest alone.

Source: docs/formats/log-entry.md, admin.dock_enrolled and admin.key_issued.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from archive.fsck.raw import as_instant, as_uuid, entries, rows
from archive.kernel.findings import Finding, invalid, valid

_ENROLLED: Final = "admin.dock_enrolled"
_ISSUED: Final = "admin.key_issued"
_SCOPES: Final = {"station": "upload", "axis": "axis"}
"""What the key of a dock opens, by the dock's kind; the browser's door has none."""


def check_dock_keys(connection: Connection) -> Iterator[Finding]:
    """Hold the keys of docks against the entries that tell of them; those of other systems are told elsewhere."""
    given: dict[str, int] = {}
    for entry in entries(connection, {_ENROLLED, _ISSUED}):
        dock_id = str(entry.told("obj", "id"))
        given[dock_id] = given.get(dock_id, 0) + 1
    kinds = {as_uuid(row["id"]): str(row["kind"]) for row in rows(connection, "SELECT id, kind FROM dock")}
    held: dict[str, list[Mapping[str, Any]]] = {dock_id: [] for dock_id, kind in kinds.items() if kind in _SCOPES}
    for row in rows(
        connection,
        "SELECT k.* FROM api_key k LEFT JOIN integration i ON i.id = k.holder_id WHERE i.id IS NULL",
    ):
        holder = as_uuid(row["holder_id"])
        if holder not in held:
            yield invalid("fsck.unlogged", "A key belongs to nobody that the log gave one", str(row["prefix"]))
        else:
            held[holder].append(row)
    for dock_id, keys in held.items():
        yield from _faults(dock_id, keys, scope=_SCOPES[kinds[dock_id]], given=given.get(dock_id, 0))
    yield valid("fsck.dock_keys", f"The keys of {len(held)} docks were held against the log")


def _faults(dock_id: str, keys: list[Mapping[str, Any]], *, scope: str, given: int) -> Iterator[Finding]:
    if len(keys) > given:
        yield invalid("fsck.unlogged", "A dock has more keys than the log tells of", dock_id)
    elif len(keys) < given:
        yield invalid("fsck.row_missing", "The log tells of a key that a dock lacks", dock_id)
    if any(row["scope"] != scope for row in keys):
        yield invalid("fsck.row_changed", "A key opens another door than that of its dock", dock_id)
    ordered = sorted(keys, key=lambda row: as_instant(row["created_at"]))
    if [row["revoked_at"] is None for row in ordered] != [False] * (len(ordered) - 1) + [True] * bool(ordered):
        yield invalid("fsck.row_changed", "Of a dock's keys the newest alone is not revoked", dock_id)
