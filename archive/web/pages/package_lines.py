"""Packages of a case as its page lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from archive.kernel.ids import CaseId
from archive.kernel.instants import Instant
from archive.packages.requests import PackageView, packages_of
from archive.web.i18n import Catalogue
from archive.web.pages.people import actor_names


@dataclass(frozen=True, slots=True)
class PackageLine:
    """One package, with the name of who asked for it, and until when it can be fetched."""

    view: PackageView
    asked_by: str
    until: Instant | None


def package_lines(tx: Session, case_id: CaseId, *, keep: timedelta, texts: Catalogue) -> Sequence[PackageLine]:
    """Return the packages of a case, newest first."""
    views = packages_of(tx, case_id)
    names = actor_names(tx, {view.row.account_id for view in views}, texts=texts)
    return [
        PackageLine(
            view,
            names[view.row.account_id],
            view.row.made_at + keep if view.row.made_at is not None and view.state == "ready" else None,
        )
        for view in views
    ]
