"""What stands on the paper of a record: blocks of runs of text, standing words apart from filled-in ones.

Composed from a template and its values; `typst/paper.typ` sets it. A field without a value is a blank in a draft, and
a stroke (／) on a finished paper, so that nothing can be written there later.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from archive.documents import template_fields as kinds
from archive.documents import template_parts as parts
from archive.documents.form_rules import meets
from archive.documents.placeholders import placeholders
from archive.documents.template import Template
from archive.documents.value_words import words_of
from archive.documents.values import Exchange, Values

Runs = list[list[str]]
"""Runs of text: `["s", standing words]`, `["v", filled-in words]`, `["b", ""]` for a blank."""
_STROKE: Final = "／"


def compose(template: Template, values: Values, *, is_draft: bool) -> Mapping[str, Any]:
    """Return the paper of a record as JSON: title, blocks, who signs each page and across the pages."""
    composer = _Composer(template, values, is_draft=is_draft)
    return {
        "layout": template.layout,
        "heading": composer.plain(template.heading),
        "title": template.title.zh,
        "number": composer.plain(template.number or ""),
        "is_draft": is_draft,
        "blocks": _kept_together(list(composer.blocks())),
        "page_signers": [_signer(each, f"{each.role}.page") for each in template.signatures if each.every_page],
        "across": next((f"{each.role}.across" for each in template.signatures if each.across_pages), None),
    }


def _signer(signature: parts.Signature, name: str) -> dict[str, str]:
    return {"name": name, "label": signature.label.zh, "by": signature.by}


class _Composer:
    def __init__(self, template: Template, values: Values, *, is_draft: bool) -> None:
        self._template = template
        self._values = values
        self._is_draft = is_draft

    def plain(self, text: str) -> str:
        return "".join(words for _, words in self._runs(text))

    def blocks(self) -> Iterator[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for block in self._template.body:
            if isinstance(block, parts.Row):
                rows.append(self._row(block))
                continue
            if rows:
                yield {"kind": "rows", "rows": rows}
                rows = []
            yield from self._block(block)
        if rows:
            yield {"kind": "rows", "rows": rows}

    def _block(self, block: parts.Block) -> Iterator[dict[str, Any]]:
        match block:
            case parts.Paragraph() if meets(block.when, self._values):
                yield from self._paragraphs(block.text, block.align, block.style, indent=block.indent)
            case parts.Wording() if meets(block.when, self._values):
                yield from self._paragraphs(self._template.wording[block.name], "left", "body", indent=block.indent)
            case parts.Table():
                yield self._table(block)
            case parts.Dialogue():
                yield {"kind": "dialogue", "lines": list(self._exchanges(block.field))}
            case parts.Signing():
                yield {"kind": "signing", "signers": self._signers(block.roles), "dated": block.dated}
            case parts.Sealing():
                yield {
                    "kind": "sealing",
                    "name": block.role,
                    "agency": self.plain(block.agency),
                    "date": self.plain(block.date),
                }
            case _:
                return

    def _signers(self, roles: Sequence[str]) -> list[dict[str, str]]:
        found = []
        for role in roles:
            signature = self._template.signature(role)
            names = [role] if signature.count == 1 else [f"{role}.{number + 1}" for number in range(signature.count)]
            found += [_signer(signature, name) for name in names]
        return found

    def _row(self, row: parts.Row) -> dict[str, Any]:
        return {
            "cells": [[caption, self._runs(text)] for caption, text in row.cells],
            "lines": row.lines,
            "signers": self._signers(row.sign),
        }

    def _paragraphs(self, text: str, align: str, style: str, *, indent: bool) -> Iterator[dict[str, Any]]:
        for runs in _by_line(self._runs(text)):
            yield {"kind": "paragraph", "runs": runs, "align": align, "style": style, "indent": indent}

    def _table(self, block: parts.Table) -> dict[str, Any]:
        field = self._template.field(block.field)
        columns = field.columns if isinstance(field, kinds.ListField) else ()
        widths = (field.widths if isinstance(field, kinds.ListField) else ()) or (1,) * len(columns)
        lines = self._values.get(block.field)
        return {
            "kind": "table",
            "heads": [column.label.zh for column in columns],
            "widths": list(widths),
            "closed": block.closed and not self._is_draft,
            "lines": [
                [words_of(column, line.get(column.name)) or "" for column in columns]
                for line in (lines if isinstance(lines, tuple) else ())
                if isinstance(line, Mapping)
            ],
        }

    def _exchanges(self, name: str) -> Iterator[list[str]]:
        lines = self._values.get(name)
        for line in lines if isinstance(lines, tuple) else ():
            if isinstance(line, Exchange):
                yield [line.question, line.answer]

    def _runs(self, text: str) -> Runs:
        runs: Runs = []
        for piece in placeholders(text):
            if isinstance(piece, str):
                runs.append(["s", piece])
                continue
            # Ticked boxes are drawn as standing words, so that no line under them makes them hard to read.
            kind = "s" if piece.part == "boxes" else "v"
            words = words_of(self._template.field(piece.name), self._values.get(piece.name), piece.part)
            if words is not None:
                runs.append([kind, words])
            else:
                runs.append(["b", ""] if self._is_draft else ["v", _STROKE])
        return runs


def _kept_together(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark what goes over to the next page with the signatures and the seal after it.

    A page with nothing but a seal could be put under any text. Source: GB/T 9704-2012, 7.3.5.5.
    """
    for block, after in pairwise(blocks):
        block["sticky"] = after["kind"] in {"signing", "sealing"}
    return blocks


def _by_line(runs: Runs) -> Iterator[Runs]:
    """Yield the runs of each line, so that a value of several lines makes paragraphs of its own."""
    line: Runs = []
    for kind, text in runs:
        first, *rest = text.split("\n")
        line.append([kind, first])
        for each in rest:
            yield line
            line = [[kind, each]]
    yield line
