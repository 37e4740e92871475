"""Accounts, clearances, keys of machines, other systems, webhooks, docks."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.access import models as _models
from archive.db.sight import FIRST_UNIT
from archive.notify import models as _notices
from archive.notify.webhooks import address_of
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment

_LOADED: Final = (_models, _notices)
NO_PASSWORD: Final = "!"  # noqa: S105 - it opens nothing
"""In place of a hash: no password is right, until the account is let in again."""
_ACCOUNT: Final = {
    "username": "username", "display_name": "display_name", "roles": "roles", "unit": "unit_id",
    "officer": "officer_id", "disabled": "disabled_at",
}  # fmt: skip


def account_created(told: Told, rows: Rows, _: Sources) -> None:
    """Write an account that nobody can sign in to: the hash of its password is in no log."""
    values = {"roles": "", "unit_id": FIRST_UNIT} | _account(told)
    rows.add(
        "account",
        **values
        | {
            "id": told.about,
            "username": told.unique("username")[:64],
            "display_name": told.words("display_name"),
            "password_hash": NO_PASSWORD,
            "created_at": told.at,
        },
    )


def account_changed(told: Told, rows: Rows, _: Sources) -> None:
    """Change an account."""
    was = told.get("was") or {}
    since = {"roles_since": told.at} if "roles" in was or was.get("disabled") is not None else {}
    rows.change("account", {"id": told.about}, **_account(told), **since)


def account_recovered(told: Told, rows: Rows, _: Sources) -> None:
    """Write since when somebody holds an account again."""
    rows.change("account", {"id": told.about}, roles_since=told.at)


def _account(told: Told) -> dict[str, Any]:
    values = {column: told[name] for name, column in _ACCOUNT.items() if name in told}
    if "role" in told:  # as it was called before there could be several
        values["roles"] = told["role"]
    for column in ("unit_id", "officer_id"):
        if values.get(column) is not None:
            values[column] = UUID(str(values[column]))
    if "disabled_at" in values:
        values["disabled_at"] = as_moment(values["disabled_at"])
    return values


def terms_accepted(told: Told, rows: Rows, _: Sources) -> None:
    """Write which version of the terms somebody accepted."""
    rows.change("account", {"id": told.about}, terms_version=told["version"])


def factor_set(told: Told, rows: Rows, _: Sources) -> None:
    """Bind an account to the provider's number of the person; other factors are secrets, and lost."""
    if told.get("factor") == "provider":
        rows.change("account", {"id": told.about}, provider_subject=told["subject"])


def clearance_granted(told: Told, rows: Rows, _: Sources) -> None:
    """Write a clearance."""
    rows.add(
        "clearance",
        id=told.uuid("clearance"),
        account_id=told.about,
        restricted_class=told["class"],
        reason=told.words("reason"),
        granted_at=told.at,
        until=told.instant("until"),
    )


def clearance_ended(told: Told, rows: Rows, _: Sources) -> None:
    """End a clearance."""
    rows.change("clearance", {"id": told.uuid("clearance")}, until=told.instant("until"))


def dock_enrolled(told: Told, rows: Rows, _: Sources) -> None:
    """Write a dock with its key."""
    rows.add(
        "dock",
        id=told.about,
        name=told.words("name"),
        kind=told.get("kind", "station"),
        public_key=bytes.fromhex(told["public_key"]),
        enrolled_at=told.at,
        unit_id=UUID(told.get("unit", str(FIRST_UNIT))),
    )
    _api_key(told, rows, told.about)


def dock_revoked(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a dock is refused."""
    rows.change("dock", {"id": told.about}, revoked_at=told.at)


def dock_limited(told: Told, rows: Rows, _: Sources) -> None:
    """Write what a dock may send."""
    limits = {name: told[name] for name in ("most_bytes_per_day", "most_bytes_per_s", "most_uploads")}
    rows.change("dock", {"id": told.about}, **limits)


def key_issued(told: Told, rows: Rows, _: Sources) -> None:
    """Write a key of another system, which comes with it, or the next one of a dock."""
    if told.kind == "dock":
        _dock_key(told, rows)
        return
    values = {"name": told.unique("system")[:64], "title": told.words("title")}
    unit_id = UUID(told.get("unit", str(FIRST_UNIT)))
    if rows.find("integration", id=told.about) is None:
        rows.add("integration", id=told.about, created_at=told.at, unit_id=unit_id, **values)
    elif not told.is_gone:
        rows.change("integration", {"id": told.about}, unit_id=unit_id, **values)
    _api_key(told, rows, told.about)


def _dock_key(told: Told, rows: Rows) -> None:
    """Revoke what a fresh key of a dock takes the place of: the one that was presented a little later."""
    if told.get("firmware") is not None:
        rows.change("dock", {"id": told.about}, firmware=told["firmware"])
    replaces = told.get("replaces") or {}
    until = as_moment(replaces.get("until"))
    for row in rows.all("api_key", holder_id=told.about):
        is_open = row["revoked_at"] is None or row["revoked_at"] > told.at
        if row["prefix"] == replaces.get("prefix"):
            if row["revoked_at"] is None:
                rows.change("api_key", {"prefix": row["prefix"]}, revoked_at=until)
        elif is_open:
            rows.change("api_key", {"prefix": row["prefix"]}, revoked_at=told.at)
    _api_key(told, rows, told.about)


def _api_key(told: Told, rows: Rows, holder_id: UUID) -> None:
    key = told.get("api_key")
    if key is None:
        return
    rows.add(
        "api_key",
        prefix=key["prefix"],
        secret_hash=bytes.fromhex(key["hash"]),
        key_id=key["hash_key"],
        scope=key["scope"],
        holder_id=holder_id,
        created_at=as_moment(key["made_at"]),
        expires_at=as_moment(key["expires_at"]),
    )


def key_revoked(told: Told, rows: Rows, _: Sources) -> None:
    """Revoke a key."""
    rows.change("api_key", {"prefix": told["key"]}, revoked_at=told.at)


def integration_changed(told: Told, rows: Rows, _: Sources) -> None:
    """Put another system into another unit."""
    rows.change("integration", {"id": told.about}, unit_id=told.uuid("unit"))


def webhook_set(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a webhook, or that its secret was renewed."""
    version = int(told["secret_version"])
    values = {"secret_version": version, "secret_hash": sources.webhook_hash(told.about, version)}
    if rows.find("webhook", id=told.about) is not None:
        rows.change("webhook", {"id": told.about}, rotated_at=told.at, types=told["types"], **values)
        return
    rows.add(
        "webhook",
        id=told.about,
        integration_id=told.uuid("integration"),
        url=sources.unsealed(told["url_sealed"], address_of(told.about)),
        types=told["types"],
        created_at=told.at,
        failures=0,
        **values,
    )


def webhook_removed(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a webhook was removed."""
    rows.change("webhook", {"id": told.about}, removed_at=told.at)


HANDLERS: Final[Mapping[str, Any]] = {
    "admin.account_created": account_created,
    "admin.account_changed": account_changed,
    "admin.account_recovered": account_recovered,
    "admin.terms_accepted": terms_accepted,
    "admin.factor_set": factor_set,
    "admin.clearance_granted": clearance_granted,
    "admin.clearance_ended": clearance_ended,
    "admin.dock_enrolled": dock_enrolled,
    "admin.dock_limited": dock_limited,
    "admin.dock_revoked": dock_revoked,
    "admin.key_issued": key_issued,
    "admin.key_revoked": key_revoked,
    "admin.integration_changed": integration_changed,
    "admin.webhook_set": webhook_set,
    "admin.webhook_removed": webhook_removed,
}
