"""FaultRun: a script as it is played: who is hit, and what has changed at the exchange for good."""

import random
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TypeVar

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.model import Fee, Provenance
from triarb.money import BPS, ZERO, arithmetic
from triarb.simulation import MatchingEngine
from triarb.testing.faults.kinds import Ban, Fault, Fees, Filters, Flow, Late, Partial, Skew
from triarb.testing.faults.script import Endpoint, FaultRule, FaultScript

F = TypeVar("F", bound=Fault)


@attrs.frozen
class Request:
    """A request that reached an exchange.

    Attributes:
        number: counts the requests in the order in which they arrived, from 1.
        on: what it asks for.
        client_id: of the order that it is about; empty if it is about none.
        symbol: of the market that it is about; empty if it is about none or several.
        time_ns: when it arrived, by the clock that the exchange was given; a skew does not show in it.
        faults: what went wrong with it.
    """

    number: int
    on: Endpoint
    client_id: str
    symbol: str
    time_ns: int
    faults: tuple[Fault, ...] = ()

    def first(self, kind: type[F]) -> F | None:
        """The first of its faults that is of that kind."""
        return next((fault for fault in self.faults if isinstance(fault, kind)), None)

    @property
    def late_ns(self) -> int:
        """How much later it reaches the exchange."""
        late = self.first(Late)
        return round(late.seconds * NS_PER_SECOND) if late else 0


@attrs.define
class _Counted:
    """A rule, its place in the run, and how many requests it was about so far."""

    rule: FaultRule
    index: int
    count: int = 0

    def hits(self, seed: int) -> bool:
        """Count a request that the rule is about; whether it goes wrong."""
        self.count += 1
        if not self.rule.covers(self.count):
            return False
        # by rule and request, so that neither other rules nor other requests change it
        dice = random.Random(f"{seed}/{self.index}/{self.count}")  # noqa: S311
        return self.rule.chance >= 1 or dice.random() < self.rule.chance


class FaultRun:
    """A script and how far it has come, for one exchange.

    Args:
        script: what goes wrong.
        engine: what faults of the exchange itself change.

    Attributes:
        skew_ns: how far the exchange's clock is ahead of its own.
    """

    def __init__(self, script: FaultScript, engine: MatchingEngine) -> None:
        self._engine = engine
        self._seed = script.seed
        self._rules: list[_Counted] = []
        self._ban = Ban(0)
        self._banned_until_ns = 0
        self._arrived = 0
        self.skew_ns = 0
        self.add(script.rules)

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Let more go wrong; the new rules count from here on.

        Raises:
            UsageError: a rule changes a market that there is none of.
        """
        new = tuple(rules)
        for rule in new:
            symbol = getattr(rule.fault, "symbol", "")
            if symbol and symbol not in self._engine.markets:
                raise UsageError(
                    f"a fault is about {symbol!r}", hint="it is no market of the exchange"
                )
        for rule in new:  # one by one: another thread may be serving
            self._rules.append(_Counted(rule, len(self._rules)))

    def arrive(self, on: Endpoint, client_id: str, symbol: str, now_ns: int) -> Request:
        """Count a request, and change the exchange as its faults say.

        Args:
            on: what it asks for.
            client_id: of the order that it is about; empty if it is about none.
            symbol: of the market that it is about; empty if it is about none or several.
            now_ns: when it arrives.
        """
        faults = [
            counted.rule.fault
            for counted in tuple(self._rules)
            if counted.rule.on in (on, Endpoint.ANY)
            and fnmatchcase(client_id, counted.rule.client_id)
            and fnmatchcase(symbol, counted.rule.symbol)
            and counted.hits(self._seed)
        ]
        for fault in faults:
            self._change(fault, client_id, symbol, now_ns)
        self._arrived += 1
        return Request(self._arrived, on, client_id, symbol, now_ns, tuple(faults))

    def banned(self, now_ns: int) -> tuple[int, int] | None:
        """The HTTP status that every request is answered with now, and for how many seconds still; None if none is."""
        if now_ns >= self._banned_until_ns:
            return None
        return self._ban.status, -((now_ns - self._banned_until_ns) // NS_PER_SECOND)

    def _change(self, fault: Fault, client_id: str, symbol: str, now_ns: int) -> None:
        engine = self._engine
        if isinstance(fault, Skew):
            self.skew_ns += round(fault.seconds * NS_PER_SECOND)
        elif isinstance(fault, Ban):
            self._ban, self._banned_until_ns = fault, now_ns + fault.seconds * NS_PER_SECOND
        elif isinstance(fault, Partial):
            engine.limit_fill(client_id, fault.fraction)
        elif isinstance(fault, Flow):
            held = engine.balances.get(fault.asset)
            free = held.free if held else ZERO
            engine.deposit(fault.asset, max(fault.amount, -free), now_ns)
        elif isinstance(fault, Fees | Filters):
            _change_market(engine, fault, fault.symbol or symbol)


def _change_market(engine: MatchingEngine, fault: Fees | Filters, symbol: str) -> None:
    market = engine.markets.get(symbol)
    if market is None:  # a request about no market of this exchange
        return
    if isinstance(fault, Filters):
        told = attrs.asdict(fault, filter=lambda _, value: value is not None)
        engine.set_market(attrs.evolve(market, **told | {"symbol": symbol}))
        return
    with arithmetic():
        fee = Fee(fault.bps / BPS, Provenance.OVERRIDE, fault.charged_in, "by a fault script")
    by_symbol = {**engine.fees.by_symbol, symbol: fee}
    engine.set_fees(attrs.evolve(engine.fees, by_symbol=by_symbol))
