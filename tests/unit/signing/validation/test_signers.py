"""The rules of time and revocation for any order of events: what is proven, what is revoked, what is claimed."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from archive.kernel.findings import Outcome, worst
from signing.validation.revocation import Evidence
from signing.validation.signers import judge_signer
from signing.validation.verdict import RevocationState
from tests.support import signed_pdfs as made
from tests.support.signed_pdfs import START, World

_DAYS = st.integers(0, 800)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@given(proven=st.none() | _DAYS, revoked=st.none() | _DAYS, claimed=_DAYS, later=st.integers(0, 60))
def test_revocation_counts_from_the_proven_time(
    world: World, proven: int | None, revoked: int | None, claimed: int, later: int
) -> None:
    at = day(max(proven or 0, revoked or 0, claimed) + later)
    entries = [] if revoked is None else [(world.officer, day(revoked))]
    judged = judge_signer(
        world.officer.certificate,
        claimed_at=day(min(claimed, proven)) if proven is not None else day(claimed),
        proven_at=None if proven is None else day(proven),
        at=at,
        trust=world.trust,
        evidence=Evidence.read([made.crl(world.root, at=at, revoked=entries)], ()),
        others=(),
        where="",
    )
    outcome = worst(each.outcome for each in judged.findings)
    codes = {each.code for each in judged.findings}
    if revoked is None:
        assert (judged.status.state, outcome) == (RevocationState.GOOD, Outcome.VALID)
    elif proven is not None:
        assert outcome is (Outcome.INVALID if revoked <= proven else Outcome.VALID)
        assert ("signature.revoked" in codes) == (revoked <= proven)
    else:
        assert outcome is (Outcome.INVALID if revoked <= claimed else Outcome.INDETERMINATE)
    assert ("signature.established" in codes) == (outcome is Outcome.VALID)


@given(made_on=_DAYS, valid=st.integers(1, 40), proven=_DAYS)
def test_a_list_speaks_for_its_time_only(world: World, made_on: int, valid: int, proven: int) -> None:
    """Not being on a list says something from before it was made until it ends, and nothing afterwards."""
    judged = judge_signer(
        world.officer.certificate,
        claimed_at=day(proven),
        proven_at=day(proven),
        at=day(900),
        trust=world.trust,
        evidence=Evidence.read([made.crl(world.root, at=day(made_on), valid=timedelta(days=valid))], ()),
        others=(),
        where="",
    )
    known = proven <= made_on + valid
    assert judged.status.state is (RevocationState.GOOD if known else RevocationState.UNKNOWN)
    assert worst(each.outcome for each in judged.findings) is (Outcome.VALID if known else Outcome.INDETERMINATE)
