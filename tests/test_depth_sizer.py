"""DepthSizer: plans that keep every bound, say what bound them, and survive the ledger."""

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb import DepthSizer, TopOfBookSizer
from triarb.exceptions import UsageError
from triarb.ledger.codec import decode, encode
from triarb.model import ExecutionStarted, Opportunity, Plan
from triarb.pipeline import breaches
from triarb.testing.opportunities import approvals, opportunities, portfolios


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(opportunities(), st.data())
def test_its_plans_keep_every_bound(opportunity: Opportunity, data: st.DataObject) -> None:
    """B4: whatever is approved and free, the pipeline finds no fault with a plan, and the ledger keeps it as it is."""
    approved = data.draw(approvals(opportunity))
    portfolio = data.draw(portfolios(opportunity.cycle.start))
    gap_bps = data.draw(st.sampled_from(["0", "100", "10000"]))
    answer = DepthSizer(gap_bps, data.draw(st.sampled_from([1, 20_000]))).size(approved, portfolio)
    if not isinstance(answer, Plan):
        event(answer.code)
        return
    event(f"bound by {answer.binding.split(' ')[0]}")
    assert list(breaches(answer, approved, portfolio)) == []
    assert answer.gap is not None
    assert answer.gap >= 0
    started = ExecutionStarted(1, 1, answer)
    assert decode(encode(started)) == started


@pytest.mark.once
@settings(max_examples=60, deadline=None)
@given(opportunities(), st.data())
def test_it_earns_at_least_what_the_tops_of_the_books_do(
    opportunity: Opportunity, data: st.DataObject
) -> None:
    """Within the same bounds, the one on losses apart, no plan at the top of the books expects more."""
    approved = attrs.evolve(data.draw(approvals(opportunity)), max_loss=None)
    portfolio = data.draw(portfolios(opportunity.cycle.start))
    top = TopOfBookSizer().size(approved, portfolio)
    deep = DepthSizer().size(approved, portfolio)
    if isinstance(top, Plan):
        assert isinstance(deep, Plan)
        assert deep.expected_result + (deep.gap or 0) >= top.expected_result
        more = deep.expected_result > top.expected_result
        event("earns more" if more else "earns the same")


@pytest.mark.parametrize("budget", [0, -1, 1.5, True, "9"])
def test_a_budget_that_makes_no_sense_is_refused(budget: object) -> None:
    """How many sizes to try is a whole number above zero."""
    with pytest.raises(UsageError, match="budget"):
        DepthSizer(budget=budget)  # type: ignore[arg-type]
