"""Renewals of signed manifests, and the archive's own certificates."""

from collections.abc import Callable, Mapping
from typing import Final

from archive.recovery.rows import Rows
from archive.recovery.sources import Sources
from archive.recovery.told import Told, as_bytes
from retention.renewals import models as _models

_LOADED: Final = (_models,)
_TIMES: Final = ("stamped_at", "renew_at", "ends_at")


def renewed(told: Told, rows: Rows, _: Sources) -> None:
    """Write a renewal of a signature; its bytes lie in the object."""
    rows.add(
        "object_renewal",
        object_id=told.about,
        number=told["number"],
        token_sha256=told["token_sha256"],
        entry_id=told.id,
        at=told.at,
        **told.digests,
        **{name: told.instant(name) for name in _TIMES},
    )


def certified(told: Told, rows: Rows, _: Sources) -> None:
    """Write a certificate of the archive's own."""
    rows.add(
        "own_certificate",
        sha256=told["sha256"],
        kind=told["kind"],
        certificate=as_bytes(told["certificate"]),
        entry_id=told.id,
        **{name: told.instant(name) for name in ("not_before", "not_after", "used_since")},
    )


HANDLERS: Final[Mapping[str, Callable[[Told, Rows, Sources], None]]] = {
    "object.renewed": renewed,
    "admin.authority_renewed": certified,
}
