"""Marks: what things are worth in the currency of a limit, always on the side that is worse for us."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.exceptions import UsageError
from triarb.model import Opportunity, Portfolio, Refused
from triarb.money import ZERO, Money, Proxy, plain
from triarb.pricing import Valuation
from triarb.pricing.valuation import PLACES


def as_proxies(told: Iterable[str | Proxy]) -> tuple[Proxy, ...]:
    """Proxies, at most one for a currency.

    Raises:
        UsageError: one text; no proxy; or two of one currency, or one of another.
    """
    if isinstance(told, str):
        raise UsageError(f"{told!r} is one text, not a list of proxies", hint=f"write [{told!r}]")
    proxies = tuple(Proxy.parse(proxy) for proxy in told)
    currencies = [proxy.currency for proxy in proxies]
    for proxy in proxies:
        if currencies.count(proxy.currency) > 1 or proxy.asset in currencies:
            raise UsageError(
                f"{proxy} is not the only proxy of it", hint="one asset stands for each currency"
            )
    return proxies


@attrs.frozen
class Marks:
    """What limits in money are valued by: declared markets, and assets that stand for a currency.

    What we hold is worth what selling it brings, what we owe costs what buying it takes, and a limit is as much of
    another asset as it buys: always the smaller reading of what is left. Where something cannot be valued now, the limit
    that needs it refuses.

    >>> from triarb import Money
    >>> Marks(proxies=["USD = USDT, haircut 1 %"]).shown(Money.parse("100 USD"))
    '100 USD (99 USDT: USD = USDT, haircut 1 %)'

    Attributes:
        valuation: the declared markets; without it only the currency itself is worth anything.
        proxies: such as ``"USD = USDT, haircut 1 %"``; at most one for a currency.
    """

    valuation: Valuation | None = None
    proxies: tuple[Proxy, ...] = attrs.field(default=(), converter=as_proxies)

    def proxy(self, currency: str) -> Proxy | None:
        """What stands for `currency`; None where it stands for itself."""
        return next((proxy for proxy in self.proxies if proxy.currency == currency), None)

    def settled(self, limit: Money) -> Money:
        """`limit` in what is counted: in the proxy's asset, less the haircut, where there is one."""
        proxy = self.proxy(limit.currency)
        return limit if proxy is None else proxy.limit(limit)

    def shown(self, limit: Money) -> str:
        """`limit` as refusals tell it, with the proxy where one is used."""
        proxy = self.proxy(limit.currency)
        return str(limit) if proxy is None else f"{limit} ({self.settled(limit)}: {proxy})"

    def hold(self, limit: Money, opportunity: Opportunity | None, now_ns: int) -> "Held":
        """`limit` against the market as it stands now; without one, only what is counted in its own currency is told."""
        return Held(limit, self, opportunity, now_ns)


class Held:
    """A limit in money, held against the market at one moment.

    Attributes:
        amount: how much it is, in what is counted.
        currency: what is counted: the limit's own currency, or the asset that stands for it.
        shown: the limit as refusals tell it.
    """

    __slots__ = (
        "_limit",
        "_marks",
        "_now_ns",
        "_opportunity",
        "_ratios",
        "amount",
        "currency",
        "shown",
    )

    def __init__(
        self, limit: Money, marks: Marks, opportunity: Opportunity | None, now_ns: int, /
    ) -> None:
        settled = marks.settled(limit)
        self.amount, self.currency = settled.amount, settled.currency
        self.shown = marks.shown(limit)
        self._limit, self._marks, self._opportunity, self._now_ns = (
            limit,
            marks,
            opportunity,
            now_ns,
        )
        self._ratios: dict[tuple[str, str], Fraction | Refused] = {}

    def bound(self, amount: Decimal) -> Decimal | Refused:
        """As much of the opportunity's start asset as `amount` of the currency buys: a bound for an approval.

        Refused: ``risk.currency`` where no valuation is declared, ``risk.unvalued`` where it does not hold now.
        """
        start = self._start()
        if self.currency == start:
            return amount
        ratio = self._ratio(self.currency, start)
        return ratio if isinstance(ratio, Refused) else floor(Fraction(amount) * ratio)

    def least(self) -> Decimal | Refused:
        """As much of the start asset as is surely worth the limit: where the limit is the least, not the most.

        Refused: as `bound`.
        """
        proxy, start = self._marks.proxy(self._limit.currency), self._start()
        amount = Fraction(self._limit.amount)
        if proxy is not None:
            amount = amount * 100 / Fraction(100 - proxy.haircut_percent)
        if self.currency != start:
            ratio = self._ratio(start, self.currency)
            if isinstance(ratio, Refused):
                return ratio
            amount /= ratio
        return -floor(-amount)

    def worth(self, changes: Mapping[str, Decimal], portfolio: Portfolio) -> Decimal | Refused:
        """What `changes` of the executions of `portfolio` come to.

        What was gained and cannot be valued counts as nothing. What was spent must be valued, but for left-overs that
        counted as nothing when they came in.

        Refused: as `bound`.
        """
        total = Fraction(0)
        starts = {asset for _, asset in portfolio.realised}
        for asset, change in sorted(changes.items()):
            part = self._part(asset, Fraction(change))
            if isinstance(part, Refused):
                left_over = asset not in starts and portfolio.residues.get(asset, ZERO) >= 0
                if change < 0 and not left_over:
                    return part
            else:
                total += part
        return floor(total)

    def cost(self, held: Mapping[str, Decimal]) -> Decimal | Refused:
        """What it takes to buy as much as `held` holds or owes of each asset: what is at stake in it at most.

        Refused: as `bound`.
        """
        total = Fraction(0)
        for asset, amount in sorted(held.items()):
            part = self._part(asset, -abs(Fraction(amount))) if amount else Fraction(0)
            if isinstance(part, Refused):
                return part
            total -= part
        return -floor(-total)

    def _start(self) -> str:
        if self._opportunity is None:
            raise UsageError("a bound is of a cycle, and none is told", hint="hold it for one")
        return self._opportunity.cycle.start

    def _part(self, asset: str, change: Fraction) -> Fraction | Refused:
        """What a gain sells for, what a debt costs."""
        if asset == self.currency:
            return change
        if change > 0:
            ratio = self._ratio(asset, self.currency)
            return ratio if isinstance(ratio, Refused) else change * ratio
        ratio = self._ratio(self.currency, asset)
        return ratio if isinstance(ratio, Refused) else change / ratio

    def _ratio(self, asset: str, currency: str) -> Fraction | Refused:
        """Units of `currency` that one of `asset` sells for."""
        key = (asset, currency)
        if key not in self._ratios:
            self._ratios[key] = self._valued(asset, currency)
        return self._ratios[key]

    def _valued(self, asset: str, currency: str) -> Fraction | Refused:
        valuation, opportunity = self._marks.valuation, self._opportunity
        numbers = {"limit": self.shown, "asset": asset, "currency": currency}
        if valuation is None:
            other = currency if asset == self.currency else asset
            return Refused(
                "risk.currency",
                f"a limit of {self.shown} says nothing about {other}: "
                f"no market is declared to value it by",
                numbers,
            )
        if opportunity is None:
            return Refused(
                "risk.unvalued",
                f"a limit of {self.shown} needs a market to value {asset} by, and none is read",
                numbers,
            )
        one = Money(Decimal(1), asset)
        value = valuation.value(one, currency, opportunity.rates, self._now_ns, opportunity.books)
        if isinstance(value, Refused):
            return Refused(
                "risk.unvalued",
                f"a limit of {self.shown} cannot be held now: {value.sentence}",
                {**numbers, "why": value.code},
            )
        return value.ratio


def floor(number: Fraction) -> Decimal:
    """`number`, rounded down at 18 decimals."""
    return Decimal(plain(Decimal(f"{number * 10**PLACES // 1}E-{PLACES}")))
