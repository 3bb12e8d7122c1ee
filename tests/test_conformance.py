"""The conformance checks: the package's own parts pass them, and broken ones are caught with a sentence."""

import asyncio
from decimal import Decimal

import attrs
import pytest

from triarb import CcxtGateway, ManualClock, PaperGateway, ReplayGateway, SystemClock, Tape
from triarb.exceptions import UsageError
from triarb.model import Balance, NotFound, Order, Submission, SubmissionStatus, Withdrawn
from triarb.testing.clock import check_clock
from triarb.testing.gateways import check_gateway, check_market_data
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import planted_triangle

HELD = {"USDT": "1000", "BTC": "1", "ETH": "10"}


def replay(kind=ReplayGateway):
    return kind(Tape.of(planted_triangle(), []), balances=HELD)


@pytest.mark.parametrize("make", [SystemClock, lambda: ManualClock(5)])
async def test_clocks_conform(make):
    """The system's clock and the manual one keep a clock's promises."""
    await check_clock(make)


class Backwards(ManualClock):
    def now_ns(self):
        self._now_ns -= 1
        return self._now_ns


class Early(ManualClock):
    async def sleep(self, seconds, /):
        await asyncio.sleep(0)


class Alone(ManualClock):
    async def sleep(self, seconds, /):
        self.advance_to(self._now_ns + round(seconds * 10**9))


class Vague(ManualClock):
    def now_ns(self):
        return 0.5


@pytest.mark.parametrize(
    ("clock", "said"),
    [(Backwards, "went back"), (Early, "ended after"), (Alone, "no other task"), (Vague, "whole")],
)
async def test_broken_clocks_are_caught(clock, said):
    """Each broken promise of a clock is one sentence."""
    with pytest.raises(AssertionError, match=said):
        await check_clock(clock)


async def test_a_replay_conforms():
    """A replayed tape is an exchange like any other."""
    await check_gateway(replay, "ETH/USDT")


async def test_ccxt_and_paper_conform_on_the_loopback_exchange():
    """Real ccxt against the loopback exchange keeps every promise, and so does paper trading over it."""
    async with LoopbackExchange(planted_triangle(), balances=HELD) as exchange:

        def ccxt(**options):
            return CcxtGateway("binance", session_factory=exchange.session_factory, **options)

        await check_gateway(lambda: ccxt(credentials=exchange.credentials), "ETH/USDT")
        fees = planted_triangle().fees()
        await check_gateway(
            lambda: PaperGateway(ccxt(), balances=HELD, fees=fees, latency_ms=0), "ETH/USDT"
        )


class Broken(ReplayGateway):
    """Breaks one promise, told by its class."""


class NoMarkets(Broken):
    async def markets(self):
        return []


class Twice(Broken):
    async def markets(self):
        return [*planted_triangle().markets] * 2


class Silent(Broken):
    async def quotes(self):
        return
        yield []


class Partly(Broken):
    async def quotes(self):
        yield planted_triangle().quotes[:1]


class Gone(Broken):
    async def quotes(self):
        yield [Withdrawn(quote.symbol) for quote in planted_triangle().quotes]


class Floats(Broken):
    async def quotes(self):
        yield [attrs.evolve(quote, bid=float(quote.bid)) for quote in planted_triangle().quotes]


class OtherBook(Broken):
    async def order_book(self, symbol, depth=20, /):
        return await super().order_book("ETH/BTC", depth)


class OldBook(Broken):
    async def order_book(self, symbol, depth=20, /):
        return attrs.evolve(await super().order_book(symbol, depth), received_ns=0)


class FindsAll(Broken):
    async def look_up(self, client_id, symbol, /):
        return "an order"


class Forgets(Broken):
    async def look_up(self, client_id, symbol, /):
        return NotFound(client_id, symbol)


class Rejects(Broken):
    async def submit(self, order, /):
        return Submission(SubmissionStatus.REJECTED, reason="no")


class Renames(Broken):
    async def submit(self, order, /):
        return await super().submit(attrs.evolve(order, client_id=order.client_id + "x"))


class TakesAnything(Broken):
    async def submit(self, order, /):
        if order.amount < Decimal("1e-6"):
            return Submission(SubmissionStatus.UNKNOWN)
        return await super().submit(order)


class WrongBalances(Broken):
    async def balances(self):
        return {"USDT": Balance(Decimal(1))}


class HalfFilled(Broken):
    async def submit(self, order, /):
        return await super().submit(Order(*attrs.astuple(order)[:3], order.amount / 2, order.price))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NoMarkets, "shows no market"),
        (Twice, "shows a market twice"),
        (Silent, "ended before the first batch"),
        (Partly, "holds no word on ETH/BTC"),
        (Gone, "none of its first quotes"),
        (Floats, "finite and not negative"),
        (OtherBook, "is that of ETH/BTC"),
        (OldBook, "received before"),
        (FindsAll, "never sent"),
        (Forgets, "looked up as"),
        (Rejects, "rejected: no"),
        (Renames, "another client id"),
        (TakesAnything, "not rejected"),
        (WrongBalances, "its fills say"),
        (HalfFilled, "rejected|filled"),
    ],
)
async def test_broken_gateways_are_caught(kind, said):
    """Each broken promise of a gateway is one sentence."""
    with pytest.raises((AssertionError, UsageError), match=said):
        await check_gateway(lambda: replay(kind), "ETH/USDT")


async def test_market_data_alone_can_be_checked():
    """A source that cannot trade has a check of its own."""
    async with replay() as gateway:
        await check_market_data(gateway)
