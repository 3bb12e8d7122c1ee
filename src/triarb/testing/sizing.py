"""check_sizer: what any Sizer must hold to, on approvals of every kind with balances of every kind."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from types import MappingProxyType

from triarb.exceptions import PolicyViolation
from triarb.model import Approved, Plan, Portfolio, Refused
from triarb.pipeline import size
from triarb.sizing import Sizer
from triarb.testing.risk import check_refusal, example_opportunities

_ROOMY = "100000"
_CASES: tuple[tuple[str | None, str | None, str, str], ...] = (
    *((amount, None, "0", _ROOMY) for amount in (None, "1000", "60", "7.5", "0.3", "0")),
    *((None, loss, "0", _ROOMY) for loss in ("5", "0.4", "0")),
    *((None, None, edge_bps, _ROOMY) for edge_bps in ("15", "75")),
    *((None, None, "0", free) for free in ("61.7", "6", "0")),
    ("60", "0.4", "15", "61.7"),
    ("61.7", "5", "0", "60"),
)
"""Bounds of approvals (most to spend, most to lose, least edge in bps), and what is free."""


def check_sizer(make: Callable[[], Sizer]) -> None:
    """Have a sizer size many approvals, and see that each plan keeps every bound, and that nothing else comes of it.

    A plan must keep what `triarb.pipeline.breaches` checks: the opportunity's legs, its markets' steps and limits, the
    bounds of the approval, what is free, and numbers that are those of its legs. A refusal needs a code and a sentence.
    The same question must have the same answer.

    Args:
        make: makes the sizer. It must make a plan in some case: the examples start in USDT, BTC and EUR, each worth
            about one of the others, with 120 at the top of each book, and 5 at least.

    Raises:
        AssertionError: an answer breaks that, or no case has a plan; the message names the case and what is wrong.

    >>> from triarb.sizing import FixedSizer
    >>> check_sizer(lambda: FixedSizer("50 USDT"))
    """
    first, second = make(), make()
    asked = [(case, _ask(first, *case)) for case in _cases()]
    for case, answer in reversed(asked):
        again = _ask(second, *case)
        if again != answer:
            raise AssertionError(f"{case[0]}: asked again it says {again}, not {answer}")
    if not any(isinstance(answer, Plan) for _, answer in asked):
        raise AssertionError(
            f"it makes no plan in any of {len(asked)} cases, so that nothing was checked; "
            f"of the last one it says {asked[-1][1]}"
        )


def _ask(sizer: Sizer, where: str, approved: Approved, portfolio: Portfolio) -> Plan | Refused:
    try:
        answer = size(approved, sizer, portfolio)
    except PolicyViolation as violation:
        raise AssertionError(f"{where}: {violation}") from violation.__cause__
    if isinstance(answer, Refused):
        check_refusal(answer, where)
    return answer


def _cases() -> Iterator[tuple[str, Approved, Portfolio]]:
    for name, opportunity in example_opportunities().items():
        start = opportunity.cycle.start
        for amount, loss, edge_bps, free in _CASES:
            approved = Approved(
                opportunity,
                None if amount is None else Decimal(amount),
                None if loss is None else Decimal(loss),
                Decimal(edge_bps),
            )
            held = {**dict.fromkeys(opportunity.cycle.assets, Decimal(7)), start: Decimal(free) + 3}
            portfolio = Portfolio(
                balances=MappingProxyType(held), reserved=MappingProxyType({start: Decimal(3)})
            )
            bounds = f"most {amount}, loss {loss}, edge {edge_bps} bps, {free} {start} free"
            yield f"{name}, {bounds}", approved, portfolio
