"""explain(): a nomination, an opportunity or a plan, taken apart exactly."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.exceptions import UsageError
from triarb.explaining.attribution import attributed
from triarb.explaining.constraints import (
    Constraint,
    binding,
    market_ceilings,
    market_floors,
    named,
)
from triarb.explaining.explanation import Explanation, LegExplanation
from triarb.explaining.words import Word, ask, words
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Approved,
    Cycle,
    Leg,
    Opportunity,
    OrderBook,
    Plan,
    PlannedLeg,
    Portfolio,
    RateView,
    Refused,
)
from triarb.money import Money, arithmetic
from triarb.pricing import (
    Bounds,
    Priced,
    Sized,
    confirm,
    most_profitable_depth,
    profit_at,
    size_at,
)
from triarb.risk import RiskPolicy

TOPS = "the tops of its books"
NOMINATED = "the prices that nominated it"
LIMITS = "its limit prices"


def explain(
    subject: Cycle | Opportunity | Plan,
    *,
    books: Mapping[str, OrderBook] | None = None,
    rates: RateView | None = None,
    opportunity: Opportunity | None = None,
    amount: Decimal | None = None,
    risk: RiskPolicy | None = None,
    portfolio: Portfolio | None = None,
    now_ns: int | None = None,
) -> Explanation:
    """Why `subject` earns what it earns: price, depth, fee and what is left over by leg, what binds, who refuses.

    A **cycle** is confirmed on `books` and explained as the opportunity that it is, or as one that is refused: then at all
    that the tops of its books show, where that comes to whole orders. Without `books` there are prices and fees only. An
    **opportunity** is explained at the size of most profit through the whole depth of its books, within what `risk` lets
    it spend and lose and `portfolio` has free: what `DepthSizer` would take. A **plan** is explained as it is: against
    the books of the `opportunity` that it was made of, or, without that, against its own limit prices; what binds it is
    what its sizer said, and only where that said nothing the tightest bound.

    Args:
        subject: what to explain.
        books: of a cycle, by symbol.
        rates: of a cycle, the whole market, as policies may see it; without it, the markets of the cycle.
        opportunity: of a plan, what it was made of.
        amount: of a cycle or an opportunity, what leg 1 may spend, through the whole depth, instead of the best size.
        risk: whose policies are asked, one by one; they judge opportunities, so of a refused cycle none is.
        portfolio: what they see, and what is free; without it, they see an empty one and the balance bounds nothing.
        now_ns: when they are asked; the moment of confirmation, without it.

    Raises:
        UsageError: `opportunity` is not that of the plan.
        PolicyViolation: a cycle's legs are no closed path over distinct assets and markets.
    """
    asking = _Asking(risk, portfolio, now_ns)
    if isinstance(subject, Plan):
        return _plan(subject, opportunity, asking)
    if isinstance(subject, Opportunity):
        return _opportunity(subject, amount, asking, "opportunity")
    if books is None:
        return _put("cycle", NOMINATED, subject)
    fees = FeeSchedule({leg.market.symbol: leg.fee for leg in subject.legs})
    received = [book.received_ns for book in books.values()]
    at_ns = max(received, default=0) if now_ns is None else now_ns
    answer = confirm(subject, books, fees, rates or _own_view(subject, books), at_ns)
    if isinstance(answer, Opportunity):
        return _opportunity(answer, amount, asking, "cycle")
    return _unconfirmed(subject, books, amount, answer)


@attrs.frozen
class _Asking:
    """Whom to ask about an opportunity, and with what in hand."""

    risk: RiskPolicy | None
    portfolio: Portfolio | None
    now_ns: int | None

    def about(self, opportunity: Opportunity) -> tuple[tuple[Word, ...], Approved | Refused | None]:
        """What each policy says, and what they say together; nothing where none is asked."""
        if self.risk is None:
            return (), None
        portfolio = self.portfolio or Portfolio()
        now_ns = opportunity.confirmed_ns if self.now_ns is None else self.now_ns
        answer = ask(self.risk, opportunity, portfolio, now_ns)
        return words(self.risk, opportunity, portfolio, now_ns), answer

    def ceilings(self, start: str, approved: Approved | Refused | None) -> Iterator[Constraint]:
        """The bounds that are no market's."""
        if self.portfolio is not None:
            with arithmetic():
                yield _ceiling("balance", self.portfolio.free(start), start)
        if isinstance(approved, Approved) and approved.max_amount is not None:
            yield _ceiling("max_amount", approved.max_amount, start)

    def bounds(self, start: str, approved: Approved | Refused | None) -> Bounds:
        """What the best size must keep."""
        with arithmetic():
            free = None if self.portfolio is None else self.portfolio.free(start)
        if not isinstance(approved, Approved):
            return Bounds(free)
        return Bounds(
            free,
            approved.max_amount,
            approved.max_loss,
            approved.min_edge_bps,
            approved.gap_bps,
        )


def _ceiling(kind: str, bound: Decimal, start: str) -> Constraint:
    return Constraint(kind, None, Money(bound, start), Fraction(bound))


def _opportunity(
    opportunity: Opportunity, amount: Decimal | None, asking: _Asking, subject: str
) -> Explanation:
    cycle = opportunity.cycle
    said, answer = asking.about(opportunity)
    others = [*asking.ceilings(cycle.start, answer)]
    sized: Sized | Priced | Refused
    if amount is None:
        sized = most_profitable_depth(opportunity, asking.bounds(cycle.start, answer))
    else:
        sized = profit_at(opportunity, amount)
        others = [_ceiling("amount", amount, cycle.start)]
    refused = next((one for one in (answer, sized) if isinstance(one, Refused)), None)
    best = sized if isinstance(sized, Sized) else None
    return _put(
        subject,
        TOPS,
        cycle,
        books=opportunity.books,
        planned=None if isinstance(sized, Refused) else sized.legs,
        refused=refused,
        said=said,
        others=others,
        bound_by=best.binding if best else "",
        gap=best.gap if best else None,
    )


def _plan(plan: Plan, opportunity: Opportunity | None, asking: _Asking) -> Explanation:
    if opportunity is None:
        limits = (Leg(leg.market, leg.side, leg.limit_price, leg.fee) for leg in plan.legs)
        others = [*asking.ceilings(plan.start, None)]
        return _put(
            "plan",
            LIMITS,
            Cycle(tuple(limits)),
            planned=plan.legs,
            others=others,
            bound_by=plan.binding,
            gap=plan.gap,
        )
    cycle = opportunity.cycle
    trades = [(leg.market, leg.side, leg.fee) for leg in plan.legs]
    if [(leg.market, leg.side, leg.fee) for leg in cycle.legs] != trades:
        raise UsageError(
            f"the plan is one of {plan.cycle_id} from {plan.start}, not of this opportunity",
            hint="give the opportunity that the sizer saw",
        )
    said, answer = asking.about(opportunity)
    others = [*asking.ceilings(plan.start, answer)]
    with arithmetic():
        at_stake, loss = Fraction(plan.at_stake), Fraction(plan.max_loss)
    if isinstance(answer, Approved) and answer.max_loss is not None and loss:
        reached = (
            at_stake * Fraction(answer.max_loss) / loss
        )  # the loss is all but linear in the size
        others.append(Constraint("max_loss", None, Money(answer.max_loss, plan.start), reached))
    refused = answer if isinstance(answer, Refused) else None
    return _put(
        "plan",
        TOPS,
        cycle,
        books=opportunity.books,
        planned=plan.legs,
        refused=refused,
        said=said,
        others=others,
        bound_by=plan.binding,
        gap=plan.gap,
    )


def _unconfirmed(
    cycle: Cycle, books: Mapping[str, OrderBook], amount: Decimal | None, refused: Refused
) -> Explanation:
    """A cycle that is refused, at the amount asked about, or at all that the tops of its books carry."""
    usable = [leg for leg in cycle.legs if (b := books.get(leg.market.symbol)) and not b.fault()]
    if len(usable) < len(cycle.legs):
        return _put("cycle", NOMINATED, cycle, refused=refused)
    now = Cycle(
        tuple(
            attrs.evolve(leg, price=books[leg.market.symbol].against(leg.side)[0].price)
            for leg in cycle.legs
        )
    )
    if any(abs(leg.fee.rate) >= 1 for leg in now.legs):
        return _put("cycle", TOPS, now, refused=refused)
    others = [] if amount is None else [_ceiling("amount", amount, now.start)]
    if amount is None:
        ceilings = market_ceilings(now, books, None)
        most = min(one.at_start for one in ceilings if one.at_start is not None)
        amount = Decimal(f"{most * 10**18 // 1}E-18")
    priced = size_at(now, books, amount)
    legs = None if isinstance(priced, Refused) else priced.legs
    return _put("cycle", TOPS, now, books=books, planned=legs, refused=refused, others=others)


def _put(
    subject: str,
    prices: str,
    cycle: Cycle,
    *,
    books: Mapping[str, OrderBook] | None = None,
    planned: Sequence[PlannedLeg] | None = None,
    refused: Refused | None = None,
    said: tuple[Word, ...] = (),
    others: Sequence[Constraint] = (),
    bound_by: str = "",
    gap: Decimal | None = None,
) -> Explanation:
    sizes = attributed(cycle, books, planned) if planned else [None] * len(cycle.legs)
    legs = tuple(map(LegExplanation, cycle.legs, sizes))
    priceable = all(abs(leg.fee.rate) < 1 for leg in cycle.legs)
    ceilings = [*others, *market_ceilings(cycle, books, planned)] if priceable else []
    bound = named(bound_by, ceilings) if bound_by else binding(ceilings, cycle, planned)
    floors = market_floors(cycle) if priceable else ()
    floor = max(floors, key=lambda constraint: constraint.at_start, default=None)
    return Explanation(subject, prices, cycle, legs, refused, bound, floor, gap, said)


def _own_view(cycle: Cycle, books: Mapping[str, OrderBook]) -> RateView:
    """The market as if it had those of `cycle` only."""
    markets = {leg.market.symbol: leg.market for leg in cycle.legs}
    by_asset: dict[str, tuple[str, ...]] = {}
    for symbol, market in markets.items():
        for asset in (market.base, market.quote):
            by_asset[asset] = (*by_asset.get(asset, ()), symbol)
    quotes = {s: books[s].quote() for s in markets if s in books and not books[s].fault()}
    return RateView(markets, quotes, {leg.market.symbol: leg.fee for leg in cycle.legs}, by_asset)
