"""The whole engine through real ccxt on a loopback exchange, with each fault at each leg's submit, look-up and cancel.

Exchange, gateway and engine share a virtual clock, so that only what really hangs takes time: the client's short timeout.
"""

import pytest

from triarb import CcxtGateway, Engine, RiskLimits, SqlLedger
from triarb.clock import ManualClock
from triarb.model import (
    EpochStarted,
    ExecutionEnded,
    Filled,
    Intended,
    NotFound,
    OrderOutcome,
    Outcome,
    Proven,
)
from triarb.testing.faults import (
    Alter,
    Answer,
    Ban,
    DropAfter,
    DropBefore,
    Duplicate,
    FaultRule,
    Fees,
    Filters,
    Hang,
    Lag,
    Late,
    Partial,
    Skew,
    Truncate,
)
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

pytestmark = pytest.mark.once


LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
OPENING = {"USDT": "1000"}
LEGS = {1: "BTC/USDT", 2: "ETH/BTC", 3: "ETH/USDT"}
TIMEOUT_MS = 400
"""Of a client whose request is to hang: only that takes real time."""
ENDED = (Outcome.COMPLETED, Outcome.UNWOUND, Outcome.SHORT, Outcome.NOTHING)

WIRE = [
    DropBefore(),
    DropAfter(),
    Hang(),
    Hang(acts=False),
    Truncate(),
    Late(0.5),
    Late(5),
    Answer(200, body="", acts=True),
    Answer(200, body="[]", acts=True),
    Answer(200, body="null", acts=True),
    Answer(200, body='{"orderId": 1', acts=True),
    Answer(502, body="<html>", acts=True),
    Answer(403, body="<html>"),
    Answer(451, body="<html>"),
    Answer(503, 1, "System is under maintenance."),
    Answer(500, -1000, acts=True),
    Answer(400, -1006, acts=True),
    Answer(400, -1007),
    Answer(429, -1003, retry_after=3),
    Ban(5, 418),
]
SAID = {  # beside those of the wire: what is said in well-formed answers
    "submit": [
        *(Answer(400, code) for code in (-1013, -1015, -1021, -1111, -2010, -2015)),
        Answer(400, -2010, "Duplicate order sent."),
        Alter({"clientOrderId": "other"}),
        Alter({"status": "PENDING_NEW"}),
        Alter({"origQty": "999"}),
        Alter({"executedQty": "999"}),
        Duplicate(),
        Partial("0"),
        Partial("0.5"),
        Fees(10, "quote"),
        Filters(active=False),
        Skew(5),
    ],
    "look_up": [
        Lag(3600),
        Alter({"clientOrderId": "other"}),
        Alter({"status": "PENDING_NEW"}),
        Answer(400, -2013),
    ],
    "cancel": [Answer(400, -2011), Skew(5)],
}
MATRIX = [(on, fault) for on, said in SAID.items() for fault in (*WIRE, *said)]


class Bot:
    """A loopback exchange, and the engines that trade on it one after the other, on one ledger."""

    def __init__(self, exchange, ledger):
        self.exchange, self.ledger = exchange, ledger
        self.starts = 0

    async def run(self, cycles=1, *, timeout_ms=10_000):
        """A process: a gateway and an engine that recovers and, if asked to, trades."""
        self.starts += 1
        async with CcxtGateway(
            "binance",
            credentials=self.exchange.credentials,
            session_factory=self.exchange.session_factory,
            poll_seconds=0.01,
            timeout_ms=timeout_ms,
            clock=self.exchange.clock,
        ) as gateway:
            engine = Engine(
                gateway,
                risk=LIMITS,
                ledger=self.ledger,
                start=["USDT"],
                epoch=f"epoch{self.starts}",
            )
            async with engine:
                if cycles:
                    await engine.run(cycles=cycles)
                return engine.recovery

    def events(self, kind):
        """Those of one kind."""
        return [event for event in self.ledger.events() if isinstance(event, kind)]

    def held(self):
        """What the exchange holds."""
        return {asset: balance.total for asset, balance in self.exchange.engine.balances.items()}

    def check(self):
        """I1-I4, I9: each order sent once and proven as the exchange has it, and ledger = exchange to the last digit."""
        intents = {e.order.client_id: e.order for e in self.events(Intended)}
        assert set(self.exchange.posts().values()) == {1}
        assert self.exchange.posts().keys() <= intents.keys()
        proven = {e.client_id: e.outcome for e in self.events(Proven)}
        assert proven.keys() == intents.keys()
        engine = self.exchange.engine
        for cid, order in intents.items():
            absent = proven[cid] in (OrderOutcome.REJECTED, OrderOutcome.NEVER)
            assert isinstance(engine.look_up(cid, order.symbol), NotFound) is absent
        assert len({e.fill.trade_id for e in self.events(Filled)}) == engine._trades
        assert dict(self.ledger.portfolio().balances) == self.held()
        assert not self.ledger.portfolio().reserved
        assert not self.ledger.unfinished()
        total = {asset: amount for asset, amount in engine.totals().items() if amount}
        assert total == {"USDT": 1000}

    async def end(self):
        """How it all ended, once a second start has recovered what the first left and a third changed nothing."""
        ends = [e.execution for e in self.events(ExecutionEnded)]
        assert len(ends) == 1
        assert ends[0].outcome in ENDED or self.ledger.portfolio().stuck == (1,)
        await self.exchange.clock.sleep(10)  # a ban ends too
        for _ in range(2):
            before = len(list(self.ledger.events()))
            await self.run(cycles=0)
        assert [type(e) for e in list(self.ledger.events())[before:]] == [EpochStarted]
        *_, last = (e.execution for e in self.events(ExecutionEnded))
        assert last.outcome in ENDED
        self.check()
        return last


@pytest.fixture
async def bot():
    """A bot on a planted triangle."""
    clock = ManualClock(START_NS)
    async with (
        LoopbackExchange(planted_triangle(), balances=OPENING, clock=clock) as exchange,
        SqlLedger("sqlite://") as ledger,
    ):
        yield Bot(exchange, ledger)


@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize(("on", "fault"), MATRIX, ids=repr)
async def test_every_fault_at_every_leg(bot, on, fault, leg):
    """A1-A6, A9, A11, A13, A14, B2, B8, B11, D1-D7, I1-I4, I9: proven or visibly stuck, and the next start ends it.

    A look-up takes place because the answer to the order was lost, a cancel because look-ups say that it is still open.
    """
    orders = f"*l{leg}a0"
    dropped = isinstance(fault, DropBefore | DropAfter)  # aiohttp sends reads and cancels again
    times = 2 if dropped and on != "submit" else 1
    if on != "submit":
        bot.exchange.inject(FaultRule("submit", DropAfter(), client_id=orders))
    if on == "cancel":
        still = Alter({"status": "NEW"})
        bot.exchange.inject(FaultRule("look_up", still, times=4, client_id=orders))
    bot.exchange.inject(FaultRule(on, fault, times=times, client_id=orders))
    await bot.run(timeout_ms=TIMEOUT_MS if isinstance(fault, Hang) else 10_000)
    assert [r for r in bot.exchange.requests if fault in r.faults], "the fault was not met"
    if isinstance(fault, Skew):
        bot.exchange.inject(FaultRule("any", Skew(-fault.seconds)))
    await bot.end()
