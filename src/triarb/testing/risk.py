"""check_risk_policy: what any RiskPolicy must hold to, on opportunities and portfolios of every kind."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import cast

from triarb.clock import NS_PER_MS, utc_day
from triarb.exceptions import PolicyViolation
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import (
    Approved,
    Cycle,
    Fee,
    FeeSide,
    Health,
    Leg,
    Level,
    Market,
    Opportunity,
    OrderBook,
    Portfolio,
    Provenance,
    Refused,
    Results,
    Side,
)
from triarb.money import BPS, ONE, arithmetic, round_up
from triarb.pipeline import BOUNDS, review
from triarb.risk.policy import RiskPolicy

NOW_NS = 1_600_000_000_000_000_000
"""When the examples are judged: 2020-09-13, 12:26:40."""

_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_LOSSES = ("-30", "0", "0.01", "1", "9.99", "10", "19.99", "20", "50", "1000", "1000000")


def check_risk_policy(policy: RiskPolicy | Callable[[], RiskPolicy]) -> None:
    """Ask a policy about many opportunities, and see that each answer is one that orders may depend on.

    It must answer with an approval of the very opportunity that it was given, within bounds that are finite Decimals, or
    with a refusal that has a code and a sentence; the same whenever it is asked the same; and nothing wider the more was
    lost on the day, be it an approval after a refusal or a larger bound.

    Args:
        policy: the policy, or what makes one; the answers of two that it makes must be the same.

    Raises:
        AssertionError: an answer is none of that; the message names opportunity, portfolio and what is wrong.

    >>> from triarb.risk import RiskLimits
    >>> check_risk_policy(RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT"))
    """
    first, second = _twice(policy)
    asked = []
    for name, opportunity in example_opportunities().items():
        before: Approved | Refused | None = None
        for where, portfolio in _portfolios(name, opportunity.cycle.start):
            answer = _ask(first, where, opportunity, portfolio)
            wider = _wider(before, answer)
            if wider:
                raise AssertionError(f"{where}: {wider}, though more was lost than before")
            asked.append((where, opportunity, portfolio, answer))
            before = answer
    for where, opportunity, portfolio, answer in reversed(asked):
        again = _ask(second, where, opportunity, portfolio)
        if again != answer:
            raise AssertionError(
                f"{where}: asked again it says {_told(again)}, not {_told(answer)}"
            )


def _twice(policy: RiskPolicy | Callable[[], RiskPolicy]) -> tuple[RiskPolicy, RiskPolicy]:
    if isinstance(policy, type) or not hasattr(policy, "review"):
        make = cast("Callable[[], RiskPolicy]", policy)
        return make(), make()
    return policy, policy


def _told(answer: Approved | Refused) -> str:
    if isinstance(answer, Refused):
        return str(answer)
    bounds = (f"{name} {getattr(answer, name)}" for name in BOUNDS)
    return f"approved with {', '.join(bounds)}"


def _ask(
    policy: RiskPolicy, where: str, opportunity: Opportunity, portfolio: Portfolio
) -> Approved | Refused:
    try:
        answer = review(opportunity, policy, portfolio, NOW_NS)
    except PolicyViolation as violation:
        raise AssertionError(f"{where}: {violation}") from violation.__cause__
    if isinstance(answer, Refused):
        check_refusal(answer, where)
    return answer


def check_refusal(refused: Refused, where: str) -> None:
    """See that a refusal has a dotted code, a sentence, and numbers that are text, numbers and Decimals.

    Raises:
        AssertionError: it has not; the message begins with `where`.
    """
    if not _CODE.fullmatch(refused.code):
        raise AssertionError(f"{where}: {refused.code!r} is no dotted code such as mine.too_late")
    if not refused.sentence.strip():
        raise AssertionError(f"{where}: {refused.code} comes without a sentence that says why")
    odd = {
        k: v for k, v in refused.numbers.items() if not isinstance(v, str | int | float | Decimal)
    }
    if odd:
        raise AssertionError(f"{where}: {refused.code} has {odd}: neither text nor numbers")


def _wider(before: Approved | Refused | None, now: Approved | Refused) -> str:
    """What `now` allows that `before` did not, in words; nothing where it allows no more."""
    if before is None or isinstance(now, Refused):
        return ""
    if isinstance(before, Refused):
        return f"it approves what it refused with {before.code}"
    for name in ("max_amount", "max_loss"):
        old, new = getattr(before, name), getattr(now, name)
        if old is not None and (new is None or new > old):
            return f"{name} grows from {old} to {new}"
    if now.min_edge_bps < before.min_edge_bps:
        return f"min_edge_bps falls from {before.min_edge_bps} to {now.min_edge_bps}"
    return ""


def _portfolios(name: str, start: str) -> Iterator[tuple[str, Portfolio]]:
    """Portfolios of which each lost more than the one before; the first won."""
    for count, loss in enumerate(_LOSSES):
        result = -Decimal(loss)
        of_day = MappingProxyType({(utc_day(NOW_NS), start): result})
        yield (
            f"{name}, {loss} {start} lost that day",
            Portfolio(
                balances=MappingProxyType({start: Decimal(500)}),
                realised=of_day,
                results=Results(
                    begun=of_day,
                    totals=MappingProxyType({start: ((NOW_NS - NS_PER_MS, result),)}),
                    since_peak=MappingProxyType({(start, start): result} if result < 0 else {}),
                ),
                health=Health(executions=20, consecutive_losses=count, leg_latency_ms=50.0),
            ),
        )


def example_opportunities() -> Mapping[str, Opportunity]:
    """Opportunities by name: of two to five legs from three start assets, of slight and suspicious edges, on fresh and old books."""
    return MappingProxyType(
        {
            "a triangle of 100 bps": _example("USDT BTC ETH", "100"),
            "a triangle of 1 bps": _example("USDT BTC EUR", "1"),
            "a triangle of 900 bps": _example("USDT BTC XRP", "900"),
            "two legs": _example("EUR BTC", "30"),
            "four legs": _example("USDT BTC ETH EUR", "60"),
            "five legs": _example("USDT BTC ETH EUR XRP", "80"),
            "a triangle with a fee on top": _example("USDT ETH BTC", "20", "given"),
            "a triangle with a fee in quote": _example("EUR ETH BTC", "20", "quote"),
            "a triangle on old books": _example("USDT BTC ETH", "100", ages_ms=[600_000] * 3),
            "a triangle on one old book": _example("USDT BTC ETH", "100", ages_ms=[0, 9000, 0]),
            "a triangle on a book of the future": _example(
                "USDT BTC ETH", "100", ages_ms=[0, -5, 0]
            ),
            "a triangle of BTC": _example("BTC ETH USDT", "40"),
        }
    )


def _example(
    path: str, edge_bps: str, fee_in: str = "received", ages_ms: Sequence[int] = (20, 35, 50, 5, 0)
) -> Opportunity:
    """The cycle through `path`, by turns bought and sold at about one; the last price makes the edge, after fees."""
    assets = path.split()
    fee = Fee(Decimal("0.0005"), Provenance.OVERRIDE, FeeSide(fee_in))
    legs: list[Leg] = []
    books: dict[str, OrderBook] = {}
    with arithmetic():
        for place, (given, received) in enumerate(
            zip(assets, [*assets[1:], assets[0]], strict=True)
        ):
            side = Side.SELL if place % 2 else Side.BUY
            base, quote = (given, received) if side == Side.SELL else (received, given)
            symbol = f"{base}/{quote}" if len(assets) > 2 else f"{base}/{quote}:{side}"
            market = Market(
                symbol,
                base,
                quote,
                price_tick=Decimal("0.000001"),
                amount_step=Decimal("0.001"),
                min_notional=Decimal(5),
            )
            rate = ONE
            if place == len(assets) - 1:
                rate += (Decimal(edge_bps) + 5 * len(assets)) / BPS
            price = round_up(ONE / rate if side == Side.BUY else rate, market.price_tick)
            legs.append(Leg(market, side, price, fee))
            away = Decimal("0.0002") if side == Side.BUY else Decimal("-0.0002")
            taken = tuple(Level(price + away * n, Decimal(120)) for n in range(4))
            other = (Level(price - away, Decimal(300)),)
            bids, asks = (other, taken) if side == Side.BUY else (taken, other)
            received_ns = NOW_NS - ages_ms[place] * NS_PER_MS
            books[symbol] = OrderBook(symbol, bids, asks, received_ns)
    cycle = Cycle(tuple(legs))
    fees = FeeSchedule(otherwise=fee)
    table = RateTable([leg.market for leg in legs], fees, [book.quote() for book in books.values()])
    return Opportunity(cycle, cycle, MappingProxyType(books), table.view(), NOW_NS)
