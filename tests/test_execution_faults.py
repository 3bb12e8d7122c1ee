"""The whole engine through real ccxt on a loopback exchange, with each fault at each leg's submit, look-up and cancel.

Exchange, gateway and engine share a virtual clock, so that only what really hangs takes time: the client's short timeout.
"""

import contextlib
import socket
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import attrs
import pytest

from triarb import CcxtGateway, Engine, ReplayGateway, RiskLimits, SqlLedger, Tape
from triarb.clock import ManualClock
from triarb.exceptions import GatewayError
from triarb.model import (
    Answered,
    EpochStarted,
    ExecutionEnded,
    ExecutionStarted,
    Filled,
    Intended,
    Level,
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
    FaultScript,
    Fees,
    Filters,
    Hang,
    Lag,
    Late,
    Partial,
    Skew,
    Truncate,
)
from triarb.testing.faulty import FaultyGateway
from triarb.testing.loopback import LoopbackExchange, LoopbackSession
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
        self.session_factory = exchange.session_factory

    async def run(self, cycles=1, *, timeout_ms=10_000):
        """A process: a gateway and an engine that recovers and, if asked to, trades."""
        self.starts += 1
        async with CcxtGateway(
            "binance",
            credentials=self.exchange.credentials,
            session_factory=self.session_factory,
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
        assert set(self.exchange.posts().values()) <= {1}
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


# What lasts longer than a request


def at_leg(bot, leg, act):
    """Do something once the order of a leg is there, before the exchange acts on it."""

    def look(request):
        if request.on == "submit" and request.client_id.endswith(f"l{leg}a0"):
            act()

    bot.exchange.on_arrival.append(look)


@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize(
    "fault",
    [
        Answer(503, 1, "System is under maintenance."),
        Answer(502, body="<html>"),
        Answer(403, body="<html>"),
        Answer(451, body="<html>"),
    ],
    ids=repr,
)
async def test_an_exchange_that_closes_in_the_middle_of_a_cycle(bot, fault, leg):
    """D4, D5: from a leg's order on nothing is answered any more; whatever that leaves, the next start ends it."""
    at_leg(bot, leg, lambda: bot.exchange.inject(FaultRule("any", fault, times=None)))
    with contextlib.suppress(GatewayError):
        await bot.run()
    bot.exchange._run._rules.clear()
    await bot.end()


@pytest.mark.parametrize("leg", LEGS)
async def test_a_key_that_is_revoked_in_the_middle_of_a_cycle(bot, leg):
    """D6: by the code, not by ccxt's class: no order is taken, what is held is on record, and no start without a key."""
    revoked = Answer(400, -2015, "Invalid API-key, IP, or permissions for action.")
    for on in ("submit", "look_up", "trades", "balances", "open_orders"):
        orders = f"*l{leg}a0" if on == "submit" else "*"
        bot.exchange.inject(FaultRule(on, revoked, times=None, client_id=orders))
    if leg > 1:
        bot.exchange.inject(FaultRule("submit", revoked, nth=leg, times=None))
    bot.exchange._run._rules[3:5] = []  # the first start reads what it opens with
    with contextlib.suppress(GatewayError):
        await bot.run()
    bot.exchange.inject(FaultRule("balances", revoked, times=1))
    with pytest.raises(GatewayError) as refused:
        await bot.run(cycles=0)
    assert refused.value.code == "gateway.credentials"
    bot.exchange._run._rules.clear()
    last = await bot.end()
    assert last.outcome in (Outcome.NOTHING, Outcome.SHORT)
    assert len(last.legs) == leg


class Unresolved(LoopbackSession):
    """A session for which the name of the exchange cannot be resolved for a while."""

    failing = 0

    def request(self, method, url, **kwargs):
        """Send a request, or find no address."""
        if Unresolved.failing:
            Unresolved.failing -= 1
            where = SimpleNamespace(host="api.binance.com", port=443, is_ssl=True, ssl=True)
            why = socket.gaierror(-3, "Temporary failure in name resolution")
            raise aiohttp.ClientConnectorDNSError(where, why)
        return super().request(method, url, **kwargs)


@pytest.mark.parametrize("leg", LEGS)
async def test_a_name_that_is_not_resolved_says_nothing_of_an_order(bot, leg):
    """D10: an order that was taken is not forgotten because look-ups find no address, however many of them."""
    bot.session_factory = lambda: Unresolved(bot.exchange.port)
    bot.exchange.inject(FaultRule("submit", DropAfter(), client_id=f"*l{leg}a0"))
    at_leg(bot, leg, lambda: setattr(Unresolved, "failing", 6))
    await bot.run()
    assert Unresolved.failing == 0
    last = await bot.end()
    assert last.outcome is Outcome.COMPLETED


async def test_an_order_that_found_no_address_was_never_there(bot):
    """D10: an order that could not leave is not taken for rejected, but proven never to have arrived."""
    bot.session_factory = lambda: Unresolved(bot.exchange.port)
    submit = CcxtGateway.submit

    async def unresolved(self, order, /):
        Unresolved.failing = 2 * order.client_id.endswith("l1a0")
        return await submit(self, order)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CcxtGateway, "submit", unresolved)
        await bot.run()
    last = await bot.end()
    assert (last.outcome, last.legs[0].outcome) == (Outcome.NOTHING, OrderOutcome.NEVER)
    assert not bot.exchange.posts()


# Money


async def test_no_order_goes_deeper_into_a_book_than_its_limit(bot):
    """B10: where the first level has shrunk to a tenth and the next is far off, only that tenth is bought."""

    def thin():
        book = bot.exchange.engine.book("BTC/USDT")
        far = Level(Decimal(150), Decimal(50))
        near = attrs.evolve(book.asks[0], amount=Decimal("0.1"))
        bot.exchange.set_book(attrs.evolve(book, asks=(near, far)))

    at_leg(bot, 1, thin)
    await bot.run()
    last = await bot.end()
    assert last.legs[0].filled == Decimal("0.1")
    assert {fill.price for fill in last.legs[0].fills} == {last.legs[0].order.price}


async def test_what_may_be_lost_is_on_record_before_the_first_order(bot):
    """B12: when leg 1 arrives, its plan with its largest loss is durable, and that is within what may be lost today."""
    seen = []

    def look():
        (started,) = bot.events(ExecutionStarted)
        seen.append(started.plan.max_loss)

    at_leg(bot, 1, look)
    await bot.run()
    (stated,) = seen
    assert 0 < stated <= LIMITS.max_daily_loss.amount
    last = await bot.end()
    assert -last.result <= stated


# Law 4


def told(ledger):
    """A journal without ids, times and words."""
    lines = []
    for event in ledger.events():
        match event:
            case Intended(order=order):
                numbers = (order.symbol, order.side, order.amount, order.price)
                lines.append(("intended", event.leg, event.attempt, event.purpose, numbers))
            case Answered():
                lines.append(("answered", event.status))
            case Filled(fill=fill):
                numbers = (fill.symbol, fill.side, fill.amount, fill.price, dict(fill.fees))
                lines.append(("filled", numbers))
            case Proven():
                lines.append(("proven", event.outcome))
            case ExecutionEnded(execution=execution):
                changes = {asset: change for asset, change in execution.changes.items() if change}
                code = execution.reason.code if execution.reason else ""
                lines.append(("ended", execution.outcome, code, changes))
            case _:
                lines.append(type(event).__name__)
    return lines


PARITY = [
    DropBefore(),
    DropAfter(),
    Truncate(),
    Answer(200, body="null", acts=True),
    Answer(500, -1000, acts=True),
    Answer(400, -1013),
    Answer(400, -2010, "Duplicate order sent."),
    Alter({"status": "PENDING_NEW"}),
    Alter({"origQty": "999"}),
    Duplicate(),
    Partial("0"),
    Partial("0.5"),
    Fees(10, "quote"),
    Filters(active=False),
    Ban(5, 418),
]


@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize("fault", PARITY, ids=repr)
async def test_the_same_goes_wrong_in_memory_as_on_the_wire(bot, fault, leg):
    """I17, law 4: one tape and one fault, simulated and through real ccxt, give one journal but for ids and times."""
    rule = FaultRule("submit", fault, client_id=f"*l{leg}a0")
    bot.exchange.inject(rule)
    await bot.run()
    replay = ReplayGateway(
        Tape.of(planted_triangle(), []),
        balances=OPENING,
        fees=planted_triangle().fees(),
        latency_ms=0,
    )
    async with FaultyGateway(replay, FaultScript([rule])) as gateway, SqlLedger("sqlite://") as own:
        engine = Engine(gateway, risk=LIMITS, ledger=own, start=["USDT"], epoch="epoch1")
        await engine.run(cycles=1)
        assert told(own) == told(bot.ledger)


@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize(
    "fields",
    [
        {"executedQty": "0"},
        {"executedQty": None},
        {"status": "EXPIRED", "executedQty": None},
    ],
    ids=repr,
)
async def test_a_look_up_that_does_not_tell_what_was_filled_proves_nothing(bot, leg, fields):
    """A4, A5: where the answer was lost, one that says "filled" of nothing, or not how much, is asked again."""
    orders = f"*l{leg}a0"
    bot.exchange.inject(
        FaultRule("submit", DropAfter(), client_id=orders),
        FaultRule("look_up", Alter(fields), times=2, client_id=orders),
    )
    await bot.run()
    assert sum(any(isinstance(f, Alter) for f in r.faults) for r in bot.exchange.requests) == 2
    execution = bot.ledger.portfolio().recent[-1]
    assert execution.outcome is Outcome.COMPLETED
    await bot.end()
