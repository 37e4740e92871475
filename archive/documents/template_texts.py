"""The texts of templates that records were begun with: kept, so that a later version changes nothing about them."""

import functools
import hashlib

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from archive.documents.models import Draft, TemplateText
from archive.documents.template import Template
from archive.documents.template_loading import load_template
from archive.kernel.errors import NotFound

_read = functools.lru_cache(maxsize=64)(load_template)


class TemplateNotThere(NotFound):
    """The template that this record was begun with is not there any more."""

    code = "documents.template_not_there"


def keep_template(tx: Session, text: str) -> str:
    """Keep the text of a template in the caller's transaction, once; return its SHA-256 in hexadecimal.

    Raises: TemplateInvalid.
    """
    return kept_template(tx, text)[0]


def kept_template(tx: Session, text: str) -> tuple[str, bool]:
    """Do what `keep_template` does; return the digest, and whether this text was not kept before. Raises: the same."""
    template, sha256 = _read(text), hashlib.sha256(text.encode()).hexdigest()
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"sha256": sha256, "code": template.code, "version": template.version, "text": text}
    added = tx.execute(
        insert(TemplateText).values(**values).on_conflict_do_nothing().returning(TemplateText.sha256)
    ).scalar_one_or_none()
    return sha256, added is not None


def template_of(tx: Session, row: Draft) -> Template:
    """Return the template that a draft was begun with. Raises: TemplateNotThere."""
    text = tx.scalar(select(TemplateText.text).where(TemplateText.sha256 == row.template_sha256))
    if text is None:
        raise TemplateNotThere(template=row.template)
    return _read(text)
