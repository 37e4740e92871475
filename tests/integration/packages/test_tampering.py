"""A short run of the tamper campaign; the long one is `./dev campaign tamper`, its report docs/campaigns/tamper.md."""

import os

import pytest

from tests.campaign.tamper.campaign import run
from tests.campaign.tamper.changes import KINDS, OPERATIONS
from tests.campaign.tamper.report import render
from tests.e2e.browser import CHROMIUM


@pytest.mark.e2e
@pytest.mark.long("two minutes; the long one is a campaign")
@pytest.mark.timeout(900)
def test_every_change_to_every_kind_of_file_is_found_by_all_three() -> None:
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    result = run(seed=5, flips=2, page_flips=0, is_exhaustive=False, every=12)
    assert result.wrong == []
    assert not result.survivors
    assert {(kind, operation) for kind, operation, _ in result.tried} >= {(k, o) for k in KINDS for o in OPERATIONS}
    assert len(result.forged) == 6 * len(result.grounds)
    assert "**Everything held**" in render(result, command="test")
