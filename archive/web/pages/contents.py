"""What a document or an archive holds, under a grant: pictures of its pages, its text, the list of its entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from archive.documents.texts import text_of
from archive.evidence.items import ItemView, looks
from archive.evidence.models import Rendition
from archive.kernel.errors import InvalidInput
from archive.kernel.ids import ObjectId
from ingest.contents import ARCHIVE, DOCUMENT, PAGES
from ingest.media.archives import Entry, Listing

_MOST_SHOWN: Final = 200_000
_ENTRIES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class ShownPage:
    """One page picture. Units: pixels; `offset` and `size` are its place in the rendition, in bytes."""

    number: int
    offset: int
    size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of a document or archive without opening it. `pages`: how many it has, 0 when it has none."""

    pages: int
    characters: int
    entries: int
    size_bytes: int
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What a grant opens. `text` is its beginning where it is long; `entries` are the first, `after` leads to more."""

    pages: Sequence[ShownPage] = ()
    pages_in_all: int = 0
    text: str = ""
    is_text_cut: bool = False
    entries: Sequence[Entry] = ()
    after: int | None = None
    listing: Listing | None = None


def contents_of(tx: Session, object_id: ObjectId) -> Contents | None:
    """Return the numbers that stand among an item's facts; None for a recording, or before anybody has looked."""
    found = looks(tx, object_id)
    if ARCHIVE in found:
        listing = _listing(found[ARCHIVE].found)
        entries = () if listing is None else listing.entries
        size_bytes = 0 if listing is None else listing.size
        return Contents(0, 0, len(entries), size_bytes, listing is not None and listing.is_encrypted)
    if DOCUMENT in found:
        told = found[DOCUMENT].found
        return Contents(int(told.get("pages", 0)), int(told.get("characters", 0)), 0, 0, is_encrypted=False)
    return None


def shown_contents(tx: Session, view: ItemView) -> Shown:
    """Return what the viewer of a document or archive shows."""
    object_id = ObjectId(view.item.object_id)
    found = looks(tx, object_id)
    if ARCHIVE in found:
        listing = _listing(found[ARCHIVE].found)
        if listing is None:
            return Shown()
        entries, after = _slice(listing, 0)
        return Shown(entries=entries, after=after, listing=listing)
    row = text_of(tx, object_id)
    text = "" if row is None else row.text
    in_all = int(found[DOCUMENT].found.get("pages", 0)) if DOCUMENT in found else 0
    is_cut = len(text) > _MOST_SHOWN or (row is not None and row.is_cut)
    return Shown(_pages(view.rendition(PAGES)), in_all, text[:_MOST_SHOWN], is_cut)


def page_of(rendition: Rendition | None, number: str) -> ShownPage | None:
    """Return the page of a document with the number that an address names, None where there is no such picture."""
    return next((page for page in _pages(rendition) if str(page.number) == number), None)


def entries_after(tx: Session, object_id: ObjectId, after: int) -> tuple[Sequence[Entry], int | None] | None:
    """Return entries of an archive from `after` on, and where the next ones begin; None where there is no list."""
    found = looks(tx, object_id)
    listing = _listing(found[ARCHIVE].found) if ARCHIVE in found else None
    return None if listing is None else _slice(listing, after)


def _slice(listing: Listing, after: int) -> tuple[Sequence[Entry], int | None]:
    upto = after + _ENTRIES_AT_ONCE
    return listing.entries[after:upto], upto if upto < len(listing.entries) else None


def _listing(found: Mapping[str, Any]) -> Listing | None:
    try:
        return Listing.from_json(found)
    except InvalidInput:  # written by another version: the page does without
        return None


def _pages(rendition: Rendition | None) -> Sequence[ShownPage]:
    told = [] if rendition is None else rendition.recipe.get("pages", [])
    return [ShownPage(**page) for page in told]
