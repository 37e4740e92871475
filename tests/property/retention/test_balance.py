"""Counts: what was there before is destroyed or left, in each store; anything else is told by the object."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from archive.ocfl.destroying import Extent
from retention.disposition.reconciling import Counted, balance

STORES = ("originals", "copy")
EXTENTS = st.builds(Extent, st.integers(0, 5), st.integers(0, 1000))
TOLD = st.fixed_dictionaries(dict.fromkeys(STORES, EXTENTS))
NOTHING = dict.fromkeys(STORES, Extent())


@st.composite
def carried_out(draw: st.DrawFn) -> list[Counted]:
    """Objects of a list that was carried out as it should be."""
    made = []
    for number in range(draw(st.integers(0, 8))):
        before, is_destroyed = draw(TOLD), draw(st.booleans())
        found = before if is_destroyed else None
        made.append(Counted(UUID(int=number), is_destroyed, before, found, NOTHING if is_destroyed else before))
    return made


@given(carried_out())
def test_what_was_carried_out_balances(counted: list[Counted]) -> None:
    told = balance(counted, STORES)
    assert told.holds
    assert told.as_json()["objects"] == {
        "before": len(counted),
        "destroyed": sum(each.is_destroyed for each in counted),
        "left": sum(not each.is_destroyed for each in counted),
    }


@given(carried_out(), st.integers(0, 100), st.sampled_from(STORES), st.sampled_from(["before", "found", "now"]))
def test_a_file_that_went_by_itself_or_stayed_is_told(
    counted: list[Counted], which: int, store: str, count: str
) -> None:
    if not counted:
        return
    at = which % len(counted)
    one = counted[at]
    told = {"before": one.before, "found": one.found, "now": one.now}
    if told[count] is None:
        return
    more = {**told[count], store: told[count][store] + Extent(1, 7)}
    counted[at] = Counted(one.object_id, one.is_destroyed, **{**told, count: more})
    found = balance(counted, STORES)
    if count == "before" or (count == "now" and one.is_destroyed):
        assert not found.holds
        assert found.differing == (one.object_id,)
    else:
        assert found.holds, "what came since is told, and is no difference"
        assert found.added[store] == Extent(1, 7)
    assert balance(counted, STORES, remade=STORES).holds == (count != "now" or not one.is_destroyed)
