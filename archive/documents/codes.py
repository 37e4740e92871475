"""Checking the code on a paper: whether there is such a record, and whether the code's digest is that of its content.

The code has the form that `archive.documents.record_setting.record_code` gives it. It speaks of what a record says, not
of its signatures. Source: docs/formats/template.md.
"""

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.documents.drafts import DraftState
from archive.documents.faces import shownable
from archive.documents.models import Draft
from archive.kernel.errors import InvalidInput
from archive.kernel.findings import Outcome

MOST_CODE_CHARACTERS: Final = 400
_CODE: Final = re.compile(
    r"liuhen-record:1;(?P<template>[a-z][a-z0-9_]{0,63}):(?P<version>[1-9][0-9]{0,5});(?P<number>[^;]{0,100});"
    r"sha256:(?P<sha256>[0-9a-f]{64})"
)
_MOST_ALIKE: Final = 20
_ON_PAPER: Final = (DraftState.SET.value, DraftState.FILED.value)


class CodeUnreadable(InvalidInput):
    """This is not what a code on a record of this archive says."""

    code = "documents.code_unreadable"


@dataclass(frozen=True, slots=True)
class RecordCode:
    """What a code says: template with version, the number as it is printed, and the SHA-256 of the values."""

    template: str
    version: int
    number: str
    sha256: str

    @classmethod
    def parse(cls, text: str) -> "RecordCode":
        """Read a code. Raises: CodeUnreadable."""
        found = _CODE.fullmatch(text.strip())
        if found is None:
            raise CodeUnreadable
        return cls(found["template"], int(found["version"]), found["number"], found["sha256"])


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """Valid: the record is there and says the same. Invalid: the number is there with other content. Else nothing."""

    code: RecordCode
    outcome: Outcome
    record: Draft | None = None


def check_code(tx: Session, code: RecordCode) -> CodeCheck:
    """Look for the record of a code among those that the transaction sees, and hold the digests together."""
    papers = select(Draft).where(
        Draft.template == code.template, Draft.template_version == code.version, Draft.state.in_(_ON_PAPER)
    )
    said = papers.where(Draft.values_sha256 == code.sha256).order_by(Draft.id).limit(_MOST_ALIKE)
    same = tx.scalars(said).all()
    for row in same:
        if _printed(row) == code.number:
            return CodeCheck(code, Outcome.VALID, row)
    other = next(iter(same), None)
    if other is None and code.number:
        other = tx.scalars(papers.where(Draft.number == code.number).order_by(Draft.id).limit(1)).first()
    return CodeCheck(code, Outcome.INDETERMINATE if other is None else Outcome.INVALID, other)


def _printed(row: Draft) -> str:
    """Return the number as the code has it."""
    return str(shownable((row.number or "").replace(";", "")))
