"""What each revision after a signature did to a PDF, as pyHanko's difference policy and the form's fields tell it.

Import it late: pyHanko brings 20 MB of modules.
Source: ISO 32000-2 section 12.8.2; Rohlmann and others, "Breaking the Specification" (S&P 2021).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis.policies import DEFAULT_DIFF_POLICY
from pyhanko.sign.diff_analysis.policy_api import ModificationLevel, SuspiciousModification

from signing.validation.verdict import Change, ChangeKind

PARSING: Final = (
    PdfError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    SyntaxError,  # of XML
    EOFError,
    struct.error,
    zlib.error,
)
"""What pyHanko raises over bytes that are no sound PDF."""
_MOST_FIELDS: Final = 10_000
_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form in one revision. `value` and `appearance` are compared only, never shown."""

    name: str
    is_signature: bool
    is_signed: bool
    is_visible: bool
    value: bytes
    appearance: bytes


@dataclass(slots=True)
class History:
    """The revisions of a document, each looked at once. Revisions count from 0 here, as in pyHanko."""

    reader: PdfFileReader
    signed_in: Mapping[int, ChangeKind]
    _fields: dict[int, Mapping[str, FormField]] = field(default_factory=dict)
    _changes: dict[int, Change] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many revisions there are."""
        revisions: int = self.reader.xrefs.total_revisions
        return revisions

    def after(self, revision: int) -> Sequence[Change]:
        """Return what each revision after this one did."""
        return [self._change(each) for each in range(revision + 1, self.count)]

    def fields(self, revision: int) -> Mapping[str, FormField]:
        """Return the form fields of a revision by name."""
        if revision not in self._fields:
            root = self.reader.get_historical_resolver(revision).root
            self._fields[revision] = {each.name: each for each in _form_fields(root)}
        return self._fields[revision]

    def _change(self, revision: int) -> Change:
        if revision not in self._changes:
            self._changes[revision] = self._judged(revision)
        return self._changes[revision]

    def _judged(self, revision: int) -> Change:
        before, after = self.fields(revision - 1), self.fields(revision)
        touched = sorted(
            name
            for name in before.keys() | after.keys()
            if not _is_signature(before.get(name) or after.get(name)) and before.get(name) != after.get(name)
        )
        try:
            level = DEFAULT_DIFF_POLICY.apply(
                self.reader.get_historical_resolver(revision - 1), self.reader.get_historical_resolver(revision)
            ).modification_level
        except (SuspiciousModification, *PARSING):
            level = ModificationLevel.OTHER
        if level is ModificationLevel.OTHER or level is ModificationLevel.ANNOTATIONS:
            has_more = self._annotations(revision) > self._annotations(revision - 1)
            return Change(revision + 1, ChangeKind.ANNOTATION if has_more else ChangeKind.OTHER, touched)
        if touched and self.signed_in.get(revision) is not ChangeKind.SIGNATURE:
            return Change(revision + 1, ChangeKind.FORM_FILL, touched)
        kind = self.signed_in.get(revision) or self._unsigned_kind(revision, level)
        # What is filled in and signed in one step (marks on each page, a seal across them) is that signer's.
        return Change(revision + 1, kind, touched)

    def _unsigned_kind(self, revision: int, level: ModificationLevel) -> ChangeKind:
        if level > ModificationLevel.LTA_UPDATES:
            return ChangeKind.FORM_FILL
        before, after = (_store(self.reader.get_historical_resolver(each).root) for each in (revision - 1, revision))
        return ChangeKind.DESCRIPTION if before == after else ChangeKind.VALIDATION_MATERIAL

    def _annotations(self, revision: int) -> int:
        """Return how many annotations besides form fields the pages of a revision have."""
        return sum(1 for each in _annotations(self.reader.get_historical_resolver(revision).root))


def added_visible_fields(history: History, revision: int) -> list[str]:
    """Return the visible signature fields that came after a revision and that nobody has signed."""
    before, now = history.fields(revision), history.fields(history.count - 1)
    return sorted(
        name
        for name, each in now.items()
        if each.is_signature and each.is_visible and not each.is_signed and name not in before
    )


def _store(root: generic.DictionaryObject) -> bytes:
    """Return all of the document security store, to be compared."""
    return _written(root, "/DSS")


def _is_signature(found: FormField | None) -> bool:
    return found is not None and found.is_signature


def _form_fields(root: generic.DictionaryObject) -> Iterator[FormField]:
    waiting = [(each, "", "", 0) for each in listed(entry(root, "/AcroForm"), "/Fields")]
    count = 0
    while waiting:
        node, above, kind, depth = waiting.pop()
        count += 1
        if count > _MOST_FIELDS or depth > _DEEPEST:
            raise ValueError("The form is nested too deeply or has too many fields")
        if not isinstance(node, generic.DictionaryObject):
            continue
        own = entry(node, "/T")
        name = above if own is None else f"{above}.{own}" if above else str(own)
        kind = str(entry(node, "/FT") or kind)
        kids = listed(node, "/Kids")
        waiting += [(each, name, kind, depth + 1) for each in kids]
        if own is not None or not kids:
            yield FormField(
                name=name,
                is_signature=kind == "/Sig",
                is_signed="/V" in node,
                is_visible=_is_visible(node),
                value=_written(node, "/V") if kind != "/Sig" else b"",
                appearance=_written(node, "/AP") if kind != "/Sig" else b"",
            )


def entry(node: Any, key: str) -> Any:
    """Return what stands under a key, references and encryption resolved, or None."""
    return node[key] if isinstance(node, generic.DictionaryObject) and key in node else None


def listed(node: Any, key: str) -> list[Any]:
    """Return the elements of the array under a key, resolved; none where there is no array."""
    found = entry(node, key)
    return [found[number] for number in range(len(found))] if isinstance(found, generic.ArrayObject) else []


def _is_visible(node: generic.DictionaryObject) -> bool:
    box = listed(node, "/Rect")
    if len(box) != 4:
        return False
    left, low, right, high = (float(each) for each in box)
    return abs(right - left) > 0 and abs(high - low) > 0


def _written(node: generic.DictionaryObject, key: str, *, depth: int = 0) -> bytes:
    """Return all that stands under a key, with what it refers to, as bytes that can be compared."""
    return b"" if key not in node else _flat(node[key], depth)


def _flat(value: Any, depth: int) -> bytes:
    if depth > _DEEPEST:
        return b"..."
    value = resolved(value)
    if isinstance(value, generic.DictionaryObject):
        inner = b"".join(
            key.encode() + _flat(value.raw_get(key), depth + 1) for key in sorted(value) if key not in {"/P", "/Parent"}
        )
        stream = value.encoded_data or b"" if isinstance(value, generic.StreamObject) else b""
        return b"<" + inner + bytes(stream) + b">"
    if isinstance(value, generic.ArrayObject):
        return b"[" + b" ".join(_flat(each, depth + 1) for each in value) + b"]"
    return repr(value).encode("utf-8", "replace")


def resolved(value: Any) -> Any:
    """Return what a reference leads to, or the value itself."""
    is_reference = isinstance(value, generic.IndirectObject)
    return value.get_object() if is_reference else value


def _annotations(root: generic.DictionaryObject) -> Iterator[Any]:
    waiting: list[tuple[Any, int]] = [(entry(root, "/Pages"), 0)]
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if not isinstance(node, generic.DictionaryObject) or depth > 64 or count > 20 * _MOST_FIELDS:
            continue
        waiting += [(each, depth + 1) for each in listed(node, "/Kids")]
        for each in listed(node, "/Annots"):
            if isinstance(each, generic.DictionaryObject) and entry(each, "/Subtype") != "/Widget":
                yield each
