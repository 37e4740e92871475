"""Errors: a stable code, one line of text, and facts beside it."""

import re
from typing import Any

import pytest

from archive.kernel import canonical, errors
from archive.kernel.errors import LiuhenError, NotFound, StorageFull


def _all_errors(of: type[LiuhenError] = LiuhenError) -> list[type[LiuhenError]]:
    return [of, *(each for child in of.__subclasses__() for each in _all_errors(child))]


def test_the_message_is_the_promise_of_the_class_unless_one_is_given() -> None:
    assert str(StorageFull()) == "The disk is full; nothing was lost, try again when there is room."
    assert str(NotFound("No such case", number="X-1")) == "No such case (number=X-1)"
    assert NotFound(number="X-1").facts == {"number": "X-1"}


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_has_a_dotted_code_and_an_exit_code_that_is_not_success(kind: type[LiuhenError]) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", kind.code)
    assert 0 < kind.exit_code < 126
    assert "\n" not in str(kind())


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    retryable = {kind.__name__ for kind in (*vars(errors).values(), canonical.NotCanonical) if _is_retryable(kind)}
    assert retryable == {"StorageFull", "Unavailable"}


def _is_retryable(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, LiuhenError) and kind.retryable
