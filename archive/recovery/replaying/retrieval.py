"""Requests and grants, accesses that were unusual, packages and downloads; certificates and requests for them."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from archive.packages import models as _packages
from archive.packages.requests import package_name
from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_moment
from archive.retrieval import models as _models
from archive.trust import models as _trust

_LOADED: Final = (_packages, _models, _trust)
_GRANTED: Final = {
    "access.view": "view", "access.export": "export", "access.print": "print", "access.break_glass": "view",
}  # fmt: skip
_REQUEST: Final = ("kind", "purpose", "reference", "days", "state")
_CERTIFICATE: Final = ("purpose", "place", "handle", "sha256", "serial")
_KEY_REQUEST: Final = ("act", "purpose", "place", "handle", "reason", "revocation_reason", "state", "answer")


def requested(told: Told, rows: Rows, _: Sources) -> None:
    """Write what somebody asks for."""
    rows.add(
        "retrieval_request",
        id=told.about,
        account_id=told.actor,
        object_id=told.uuid("object"),
        asked_at=told.at,
        decide_by=told.instant("decide_by"),
        **{name: told[name] for name in _REQUEST},
    )


def decided(told: Told, rows: Rows, _: Sources) -> None:
    """Write what was decided."""
    rows.change(
        "retrieval_request",
        {"id": told.about},
        state=told["state"],
        decided_by=told.uuid("decided_by"),
        decided_at=told.instant("decided_at"),
        reason=told["reason"],
        until=told.instant("until"),
    )


def granted(told: Told, rows: Rows, sources: Sources) -> None:
    """Write a grant, or what was asked for and fetched as a package."""
    if told.type == "access.export" and told.case is not None:
        if told.kind == "case":
            _package(told, rows, sources)
        return
    until = told.instant("until")
    rows.add(
        "retrieval_grant",
        id=told.uuid("grant"),
        account_id=told.actor,
        object_id=told.about,
        kind=_GRANTED[told.type],
        purpose=told.words("purpose"),
        reference=told.get("reference", ""),
        request_id=told.uuid("request") if "request" in told else None,
        is_emergency=told.type == "access.break_glass",
        entry_id=told.id,
        granted_at=told.at,
        expires_at=until,
    )


def _package(told: Told, rows: Rows, _: Sources) -> None:
    if rows.find("account", id=told.actor) is None or "package" not in told:
        return  # packages that are made on the server have no row
    package_id = told.uuid("package")
    if "download" in told:
        rows.add(
            "package_download",
            id=told.uuid("download"),
            package_id=package_id,
            account_id=told.actor,
            entry_id=told.id,
            granted_at=told.at,
            expires_at=told.instant("until"),
        )
        return
    case = rows.find("case_file", id=told.about)
    rows.add(
        "package",
        id=package_id,
        case_id=told.about,
        account_id=told.actor,
        purpose=told.words("purpose"),
        with_renditions=told["renditions"],
        entry_id=told.id,
        asked_at=told.at,
        state="asked",
        name=package_name("" if case is None else case["number"], told.at),
    )


def package_built(told: Told, rows: Rows) -> None:
    """Write that a package is ready."""
    rows.change(
        "package",
        {"id": told.uuid("package")},
        state="ready",
        made_at=told.at,
        object_count=told["objects"],
        checkpoint_size=told["checkpoint"],
        size_bytes=told.get("size"),
    )


def package_removed(told: Told, rows: Rows) -> None:
    """Write that a package was removed."""
    rows.change("package", {"id": told.uuid("package")}, state="removed", removed_at=told.at)


def renewed(told: Told, rows: Rows, _: Sources) -> None:
    """Let a grant last longer."""
    rows.change("retrieval_grant", {"id": told.uuid("grant")}, expires_at=told.instant("until"))


def unusual(told: Told, rows: Rows, _: Sources) -> None:
    """Write by which rules an access was unusual; its row may still wait to be written."""
    rows.flush()
    for rule in told["rules"]:
        rows.add("unusual_access", entry_id=told.about, rule=rule, found_at=told.at)


def checked(told: Told, rows: Rows, _: Sources) -> None:
    """Write what was found of an unusual access."""
    values = {"checked_by": told.actor, "checked_at": told.at, "words": told["words"]}
    rows.change("unusual_access", {"entry_id": told.about, "checked_by": None}, **values)


def certificate_registered(told: Told, rows: Rows, _: Sources) -> None:
    """Write a certificate."""
    rows.add(
        "key_certificate",
        id=told.about,
        holder_id=told.uuid("holder"),
        certificate=bytes.fromhex(told["certificate"]),
        not_before=told.instant("not_before"),
        not_after=told.instant("not_after"),
        registered_at=told.at,
        registered_by=told.actor,
        **{name: told[name] for name in _CERTIFICATE},
    )


def certificate_replaced(told: Told, rows: Rows, _: Sources) -> None:
    """Write what stands in place of a certificate."""
    rows.change("key_certificate", {"id": told.about}, replaced_by=told.uuid("replaced_by"))


def certificate_revoked(told: Told, rows: Rows, _: Sources) -> None:
    """Write that a certificate is revoked."""
    values = {"revoked_at": told.instant("revoked_at"), "revocation_reason": told["revocation_reason"]}
    rows.change("key_certificate", {"id": told.about}, **values)


def certificate_requested(told: Told, rows: Rows, _: Sources) -> None:
    """Write what somebody asks for with a certificate."""
    rows.add("key_request", id=told.about, asked_by=told.actor, asked_at=told.at, **_key_request(told))


def certificate_decided(told: Told, rows: Rows, _: Sources) -> None:
    """Write what was decided of it."""
    rows.change("key_request", {"id": told.about}, **_key_request(told))


def _key_request(told: Told) -> dict[str, Any]:
    values: dict[str, Any] = {name: told[name] for name in _KEY_REQUEST if name in told}
    for name in ("certificate_id", "holder_id", "decided_by"):
        if name in told:
            values[name] = told.uuid(name)
    for name in ("revoked_at", "decided_at"):
        if name in told:
            values[name] = as_moment(told[name])
    if "certificate" in told:
        values["certificate"] = None if told["certificate"] is None else bytes.fromhex(told["certificate"])
    return values


def note_key_use(told: Told, rows: Rows, about: UUID, kind: str) -> None:
    """Write that something was signed with a certificate. Raises: FactUnknown where that is not in the register."""
    certificate = rows.find("key_certificate", sha256=told["certificate"])
    if certificate is None:
        raise told.unknown("certificate")
    rows.add(
        "key_use", entry_id=told.id, certificate_id=certificate["id"], ref_kind=kind, ref_id=about, at=told.at
    )  # fmt: skip


HANDLERS: Final[Mapping[str, Any]] = {
    "access.requested": requested,
    "access.request_decided": decided,
    **dict.fromkeys(_GRANTED, granted),
    "access.renewed": renewed,
    "access.unusual": unusual,
    "access.checked": checked,
    "admin.certificate_registered": certificate_registered,
    "admin.certificate_replaced": certificate_replaced,
    "admin.certificate_revoked": certificate_revoked,
    "admin.certificate_requested": certificate_requested,
    "admin.certificate_decided": certificate_decided,
}
