"""The words of judgements in both languages, for pages, reports and the command line."""

from collections.abc import Mapping
from typing import Final

from archive.kernel.findings import Outcome
from archive.web.i18n import Catalogue, Language, catalogue
from ingest.judgement_reports import Words
from ingest.judgements import Judgement

_SPEAKING = (Language.CHINESE, Language.ENGLISH)


def say(key: str, **values: object) -> tuple[str, str]:
    """Return a text in Chinese and in English. Raises: KeyError."""
    chinese, english = (catalogue(each).text(key, **values) for each in _SPEAKING)
    return chinese, english


def finding_words(found: Mapping[str, str]) -> tuple[str, str]:
    """Return the words of a finding in Chinese and in English; its own sentence where a code has none."""
    chinese, english = (_words_in(catalogue(each), found) for each in _SPEAKING)
    return chinese, english


def sentence_of(judgement: Judgement) -> tuple[str, str]:
    """Return the verdict in one plain sentence, in Chinese and in English."""
    chinese, english = (_sentence_in(catalogue(each), judgement) for each in _SPEAKING)
    return chinese, english


def _words_in(texts: Catalogue, found: Mapping[str, str]) -> str:
    if found["outcome"] == Outcome.VALID.value and texts.has(f"held.{found['code']}"):
        return texts.text(f"held.{found['code']}")
    return texts.term("finding", found["code"]) if texts.has(f"finding.{found['code']}") else found["message"]


def _sentence_in(texts: Catalogue, judgement: Judgement) -> str:
    if judgement.cause == "document.unsigned":
        return texts.text("sentence.unsigned")
    if judgement.outcome is Outcome.VALID:
        made = [each for each in judgement.verdict["signatures"] if not each["is_document_timestamp"]]
        return texts.counted("sentence.valid", len(made))
    named = next((each for each in judgement.findings if each["code"] == judgement.cause), None)
    cause = judgement.cause if named is None else _words_in(texts, named)
    return texts.text(f"sentence.{judgement.outcome.value}", cause=cause)


WORDS: Final = Words(say, finding_words, sentence_of)
