"""Fault scripts as data, what keeps a simulated exchange honest under any of them, and who can use them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any

import attrs
import ccxt as ccxt_sync
import ccxt.async_support as ccxt
import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.engine import Engine
from triarb.exceptions import GatewayError, MalformedAnswer, TradingRefused, UsageError
from triarb.gateways.paper import PaperGateway
from triarb.gateways.replay import ReplayGateway
from triarb.market.fees import FeeSchedule
from triarb.market.tape import Tape
from triarb.model import Balance, Market, Order, OrderBook, OrderState, Refused, Side, TimeInForce
from triarb.risk import RiskLimits
from triarb.simulation import MatchingEngine
from triarb.simulation.accounts import reserve
from triarb.testing import check_gateway, planted_triangle, strategies as nouns
from triarb.testing.faults import (
    Alter,
    Answer,
    Ban,
    DropAfter,
    DropBefore,
    Duplicate,
    Endpoint,
    Fault,
    FaultRule,
    FaultScript,
    Fees,
    Filters,
    Flow,
    Hang,
    Lag,
    Late,
    Partial,
    Skew,
    Truncate,
)
from triarb.testing.faults.script import FAULTS, endpoints_of
from triarb.testing.faulty import FaultyGateway
from triarb.testing.loopback import LoopbackExchange, in_background, loopback

pytest_plugins = ["triarb.testing.fixtures"]

D = Decimal
MONEY = {"USDT": "1000", "BTC": "5", "ETH": "20"}
SYMBOLS = ("BTC/USDT", "ETH/BTC", "ETH/USDT")
LOST = FaultScript([FaultRule("submit", DropAfter())])


# As data


@pytest.mark.once
@given(nouns.fault_scripts())
def test_a_script_is_what_it_prints_and_what_it_is_kept_as(script: FaultScript) -> None:
    """Its repr is the code that makes it, and its JSON reads back as its equal."""
    names: dict[str, Any] = {kind.__name__: kind for kind in FAULTS}
    names |= {"FaultScript": FaultScript, "FaultRule": FaultRule}
    assert eval(repr(script), names) == script
    assert FaultScript.from_json(script.to_json()) == script
    assert json.loads(script.to_json()).keys() <= {"rules", "seed"}


def test_every_kind_of_fault_has_a_name_in_json() -> None:
    """Fifteen kinds, each by a name of its own, and what JSON says of each reads back as it."""
    made = [
        DropBefore(),
        DropAfter(),
        Hang(acts=False),
        Truncate(),
        Answer(503, -1007, acts=True),
        Ban(3, 418),
        Late(0.5),
        Lag(1),
        Duplicate(),
        Alter({"status": "PENDING_NEW"}),
        Partial("0.5"),
        Fees("7.5", "quote"),
        Filters(amount_step="0.01", active=False),
        Flow("BTC", "-1"),
        Skew(-2),
    ]
    assert tuple(type(fault) for fault in made) == FAULTS
    script = FaultScript([FaultRule(endpoints_of(fault)[0], fault) for fault in made])
    assert FaultScript.from_json(script.to_json()) == script
    kinds = [rule["fault"]["kind"] for rule in json.loads(script.to_json())["rules"]]
    assert " ".join(kinds) == (
        "drop_before drop_after hang truncate answer ban late lag duplicate alter partial fees filters flow skew"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "no attribute"),
        ('{"rules": 3}', "expected tuple"),
        ('{"rule": []}', "extra fields found (rule)"),
        ('{"rules": [{"on": "submit"}]}', "required field missing"),
        ('{"rules": [{"on": "post", "fault": {"kind": "hang"}}]}', "'post' is not a valid"),
        ('{"rules": [{"on": "submit", "fault": {"kind": "late", "seconds": "1"}}]}', "not float"),
        ('{"rules": [{"on": "submit", "fault": {"kind": "lag", "seconds": 1}}]}', "cannot happen"),
        ('{"rules": [{"on": "submit", "fault": {"kind": "partial", "fraction": 0.5}}]}', "text"),
        ('{"rules": [{"on": "submit", "fault": {"kind": "hang", "act": true}}]}', "fields found"),
    ],
)
def test_what_is_no_script_says_why(text: str, why: str) -> None:
    """One error, that names the place and the mend."""
    with pytest.raises(UsageError) as caught:
        FaultScript.from_json(text)
    assert why in str(caught.value)
    assert "to_json" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: FaultRule("submit", Lag(1)), "Lag cannot happen to 'submit'"),
        (lambda: FaultRule("balances", Partial()), "Partial cannot happen"),
        (lambda: FaultRule("any", Duplicate()), "submit, trades"),
        (lambda: FaultRule("submit", Hang(), nth=0), "nth is 0"),
        (lambda: FaultRule("submit", Hang(), times=0), "times 0"),
        (lambda: FaultRule("submit", Hang(), chance=0), "a chance of 0"),
        (lambda: Late(-1), "seconds is -1"),
        (lambda: Ban(float("nan")), "seconds is nan"),
        (lambda: Partial("1"), "a part of 1"),
        (lambda: Flow("BTC", 0.5), "not an exact number"),
        (lambda: Filters(amount_step="many"), "not a number"),
    ],
)
def test_faults_that_cannot_be_are_refused(make: Any, why: str) -> None:
    """At once, by name, and not when they would happen."""
    with pytest.raises(UsageError) as caught:
        make()
    assert why in str(caught.value)


async def test_a_fault_about_no_market_is_refused() -> None:
    """A script that names a market that the exchange has not is refused where it is given."""
    rule = FaultRule("submit", Filters(active=False, symbol="BTC/EUR"))
    with pytest.raises(UsageError, match="BTC/EUR"):
        LoopbackExchange(planted_triangle(), faults=FaultScript([rule]))
    gateway = faulty(FaultScript([rule]))
    with pytest.raises(UsageError, match="BTC/EUR"):
        await gateway.__aenter__()
    async with faulty(FaultScript()) as gateway:
        with pytest.raises(UsageError, match="BTC/EUR"):
            gateway.inject(rule)


async def test_chance_is_the_seeds() -> None:
    """The same seed hits the same requests, whatever else is asked between them; another seed hits others."""

    async def hit(seed: int, *, noise: bool) -> list[bool]:
        script = FaultScript([FaultRule("submit", DropBefore(), times=None, chance=0.5)], seed)
        async with faulty(script) as gateway:
            for number in range(24):
                if noise:
                    await gateway.balances()
                await gateway.submit(buy(f"tri{number}"))
            return [bool(r.faults) for r in gateway.requests if r.on is Endpoint.SUBMIT]

    first = await hit(1, noise=False)
    assert first == await hit(1, noise=True)
    assert first != await hit(2, noise=False)
    assert 4 < sum(first) < 20


# I5, under anything


def faulty(script: FaultScript, **options: Any) -> FaultyGateway:
    """The planted triangle under a virtual clock."""
    snapshot = planted_triangle()
    quotes = [attrs.evolve(q, received_ns=q.received_ns + n) for n, q in enumerate(snapshot.quotes)]
    replay = ReplayGateway(Tape.of(snapshot, quotes), balances=MONEY, latency_ms=5)
    return FaultyGateway(replay, script, **options)


def buy(client_id: str, amount: str = "0.1") -> Order:
    """An order to buy BTC at the best ask."""
    return Order(client_id, "BTC/USDT", Side.BUY, D(amount), D("100"))


def assert_sound(engine: MatchingEngine) -> None:
    """Nobody owes anything, and what is locked is what the open orders need."""
    locked: dict[str, Decimal] = {}
    for entry in engine._open.values():
        order, market = entry.order, entry.market
        asset = market.given(order.side)
        need = reserve(order.side, order.price, entry.rest, entry.fee)
        locked[asset] = locked.get(asset, D(0)) + need
    for asset, held in engine.balances.items():
        assert held.free >= 0
        assert held.locked == locked.pop(asset, D(0))
    assert not any(locked.values())


def changed(before: dict[str, Decimal], after: dict[str, Decimal]) -> set[str]:
    """The assets of which there is more or less than before."""
    return {a for a in before | after if before.get(a, D(0)) != after.get(a, D(0))}


def flows(requests: list[Any]) -> set[str]:
    """The assets that a script brought in or took out."""
    return {f.asset for request in requests for f in request.faults if isinstance(f, Flow)}


orders = st.builds(
    Order,
    st.integers(0, 5).map("tri{}".format),
    st.sampled_from(SYMBOLS),
    st.sampled_from(Side),
    st.sampled_from(["0.0001", "0.1", "1", "5", "60"]).map(D),
    st.sampled_from(["0.04990", "0.05", "0.06", "5.05", "5.06", "99.9", "100", "101"]).map(D),
    st.sampled_from(TimeInForce),
)
steps = st.one_of(
    orders,
    orders,
    st.tuples(
        st.sampled_from(["look_up", "cancel"]),
        st.integers(0, 5).map("tri{}".format),
        st.sampled_from(SYMBOLS),
    ),
    st.sampled_from([("balances",), ("fees",), ("markets",)]),
    st.tuples(st.just("order_book"), st.sampled_from(SYMBOLS)),
    st.sampled_from([0.5, 3.0, 40.0]),
)


@pytest.mark.once
@settings(max_examples=150)
@given(nouns.fault_scripts(), st.lists(steps, max_size=14))
def test_in_memory_nothing_is_made_or_lost(script: FaultScript, todo: list[Any]) -> None:
    """I5, I2: after every step under any script only flows change totals, nothing is below zero, locks are reservations."""

    async def run() -> None:
        async with faulty(script) as gateway:
            totals = gateway.engine.totals()
            for step in todo:
                asked = len(gateway.requests)
                if isinstance(step, Order):
                    sent = len(gateway.engine._orders)
                    answer = await gateway.submit(step)
                    if answer.status == "rejected" and len(gateway.engine._orders) > sent:
                        # what lies is a script's answer in place of the true one, or an earlier order came late
                        late = any(isinstance(r.fault, Late) for r in script.rules)
                        lies = [f for f in gateway.requests[-1].faults if isinstance(f, Answer)]
                        assert late or lies
                elif isinstance(step, float):
                    await gateway.clock.sleep(step)
                else:
                    with contextlib.suppress(GatewayError):
                        await getattr(gateway, step[0])(*step[1:])
                assert_sound(gateway.engine)
                now = gateway.engine.totals()
                assert changed(totals, now) <= flows(gateway.requests[asked:])
                totals = now

    asyncio.run(run())


@pytest.mark.once
@settings(max_examples=40)
@given(nouns.fault_scripts(max_rules=4), st.lists(steps, max_size=8))
def test_on_the_wire_nothing_is_made_or_lost(script: FaultScript, todo: list[Any]) -> None:
    """I5 on the loopback exchange: the same, with real ccxt and each request checked as it comes in."""

    async def run() -> None:
        clock = ManualClock(1_700_000_000 * NS_PER_SECOND)
        faults = attrs.evolve(
            script, rules=[r for r in script.rules if not isinstance(r.fault, Hang)]
        )
        async with loopback(planted_triangle(), balances=MONEY, faults=faults, clock=clock) as (
            exchange,
            binance,
        ):
            totals = exchange.engine.totals()
            for step in todo:
                asked = len(exchange.requests)
                with contextlib.suppress(ccxt.BaseError):
                    await asked_of(binance, step, clock)
                assert_sound(exchange.engine)
                now = exchange.engine.totals()
                assert changed(totals, now) <= flows(exchange.requests[asked:])
                totals = now

    asyncio.run(run())


async def asked_of(binance: Any, step: Any, clock: ManualClock) -> None:
    """One step through ccxt, with nothing checked before it is sent."""
    if isinstance(step, float):
        clock.advance_to(clock.now_ns() + round(step * NS_PER_SECOND))
    elif isinstance(step, Order):
        await binance.private_post_order(
            {
                "symbol": step.symbol.replace("/", ""),
                "side": step.side.upper(),
                "type": "LIMIT",
                "timeInForce": str(step.time_in_force),
                "quantity": str(step.amount),
                "price": str(step.price),
                "newClientOrderId": step.client_id,
            }
        )
    elif step[0] in ("look_up", "cancel"):
        ask = binance.private_get_order if step[0] == "look_up" else binance.private_delete_order
        await ask({"origClientOrderId": step[1], "symbol": step[2].replace("/", "")})
    elif step[0] == "order_book":
        await binance.public_get_depth({"symbol": step[1].replace("/", "")})
    else:
        await binance.private_get_account()


@given(st.data(), st.lists(st.one_of(orders, st.integers(0, 5)), max_size=12))
def test_the_past_is_told_as_it_was(data: st.DataObject, todo: list[Any]) -> None:
    """Balances and orders as of any earlier moment are what they were then, after orders, cancels, fills and flows."""
    snapshot = planted_triangle()
    amounts = {asset: D(amount) for asset, amount in MONEY.items()}
    engine = MatchingEngine(snapshot.markets, snapshot.fees(), balances=amounts)
    seen: list[tuple[int, dict[str, Balance], list[Any]]] = []
    names = [(f"tri{n}", symbol) for n in range(6) for symbol in SYMBOLS]
    for now_ns, step in enumerate(todo, 1):
        if isinstance(step, Order):
            engine.submit(step, now_ns)
        elif step % 2:
            engine.deposit("USDT", D(step), now_ns)
        else:
            for state in engine.open_orders()[:step]:
                engine.cancel(state.client_id, state.symbol, now_ns)
        if data.draw(st.booleans()):
            for quote in snapshot.quotes:
                moved = attrs.evolve(quote, bid=quote.ask, ask=quote.ask + quote.bid)
                engine.set_book(attrs.evolve(OrderBook.from_quote(moved), received_ns=now_ns))
        seen.append((now_ns, engine.balances, [engine.look_up(*name) for name in names]))
    for then_ns, balances, states in seen:
        assert engine.balances_at(then_ns) == balances
        assert [engine.look_up(*name, then_ns) for name in names] == states
    assert engine.balances_at(0) == {asset: Balance(amount) for asset, amount in amounts.items()}


# In memory


async def test_without_faults_it_is_a_gateway_as_any() -> None:
    """It keeps what every gateway must keep."""
    snapshot = planted_triangle()

    def make() -> FaultyGateway:
        return faulty(FaultScript())

    await check_gateway(make, snapshot.markets[0].symbol)


async def test_faults_without_an_object_do_nothing() -> None:
    """A change of "the request's market" leaves a request about none alone; altered balances make no sense."""
    rules = [FaultRule("balances", Fees(5)), FaultRule("balances", Alter({"balances": ""}), nth=2)]
    async with faulty(FaultScript(rules)) as gateway:
        before = gateway.engine.fees
        assert await gateway.balances()
        assert gateway.engine.fees == before
        with pytest.raises(MalformedAnswer):
            await gateway.balances()


async def test_an_engine_trades_through_faults_in_virtual_time() -> None:
    """The whole engine on a replay whose second order's answer is lost: three orders, each sent once, all found."""
    script = FaultScript([FaultRule("submit", DropAfter(), nth=2)])
    limits = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
    gateway = faulty(script)
    report = await Engine(gateway, risk=limits).run(cycles=1)
    assert [str(execution.outcome) for execution in report.executions] == ["completed"]
    assert sorted(gateway.posts().values()) == [1, 1, 1]
    assert gateway.mode == "replay"
    assert (gateway.exchange, report.mode) == ("generated", "replay")


async def test_quotes_and_markets_go_wrong_in_memory() -> None:
    """A batch that is not told ends the quotes with an error; markets that changed are told as they are."""
    rules = [FaultRule("quotes", DropBefore(), nth=2), FaultRule("markets", Answer(502))]
    async with faulty(FaultScript(rules)) as gateway:
        feed = gateway.quotes()
        assert len(await anext(feed)) == 3
        with pytest.raises(GatewayError):
            await anext(feed)
        with pytest.raises(GatewayError):
            await gateway.markets()
        gateway.inject(FaultRule("markets", Filters(min_amount="7", symbol="BTC/USDT")))
        changed_ = {m.symbol: m.min_amount for m in await gateway.markets()}
        assert changed_["BTC/USDT"] == 7
        gateway.restore({"USDT": D(1)})
        assert await gateway.balances() == {"USDT": Balance(D(1))}


async def test_a_late_order_meets_the_book_of_its_time_or_none() -> None:
    """Where the book cannot be read when a late order arrives, it finds nothing to trade with."""
    script = FaultScript([FaultRule("submit", Late(1), times=2)])
    async with faulty(script, timeout_ms=500) as gateway:
        paper = gateway._gateway
        await gateway.submit(buy("tri1"))
        order_book = paper.order_book

        async def silent(*_: Any) -> Any:
            raise GatewayError("it is silent", code="gateway.unavailable")

        paper.order_book = silent
        await gateway.clock.sleep(2)
        state = await gateway.look_up("tri1", "BTC/USDT")
        assert isinstance(state, OrderState)
        assert (state.status, state.filled) == ("expired", 0)
        paper.order_book = order_book
    with pytest.raises(UsageError, match="not open"):
        _ = FaultyGateway(PaperGateway(paper, balances={}), script).engine


# On the wire


def test_a_synchronous_bot_is_led_here() -> None:
    """Ccxt without asyncio: its request comes here under its host's name, with the exchange's keys, and nowhere else."""
    with in_background(planted_triangle(), balances=MONEY, faults=LOST) as exchange:
        binance = ccxt_sync.binance({"apiKey": "real", "secret": "real"})
        exchange.connect(binance)
        with pytest.raises(ccxt_sync.NetworkError):
            binance.create_order("BTC/USDT", "limit", "buy", 0.1, 100)
        assert exchange.engine.balances["BTC"].free > 5
        order = binance.create_order("BTC/USDT", "limit", "buy", 0.1, 100)
        assert order["status"] == "closed"
        assert sorted(exchange.posts().values()) == [1, 1]
        assert {request.host for request in exchange.requests} == {"api.binance.com"}
        with pytest.raises(TradingRefused, match=r"fapi\.binance\.com"):
            binance.fapipublic_get_time()
        for other in (ccxt_sync.kraken(), ccxt.binanceus(), "binance"):
            with pytest.raises(UsageError, match="no binance"):
                exchange.connect(other)


def test_the_fixture_starts_exchanges(loopback_exchange: Any) -> None:
    """Two of them at once, each on a thread of its own, for a bot that is async and brings its own loop."""
    first = loopback_exchange(planted_triangle(), balances=MONEY, faults=LOST)
    second = loopback_exchange(planted_triangle(), balances={"USDT": "1"})

    async def bot(exchange: LoopbackExchange) -> dict[str, float]:
        binance = ccxt.binance()
        exchange.connect(binance)
        try:
            return dict((await binance.fetch_balance())["free"])
        finally:
            await binance.close()

    assert asyncio.run(bot(first))["BTC"] == 5
    assert asyncio.run(bot(second))["USDT"] == 1
    assert first.port != second.port


@pytest.mark.once
def test_the_fixtures_are_loaded_by_name_only() -> None:
    """Triarb registers no plug-in: who does not ask for its fixtures has none of it in the run."""
    program = (
        "import sys, pytest\n"
        "pytest.main(['--collect-only', '-q', '-c', '/dev/null', '--rootdir', '/', '/dev/null'])\n"
        "print('triarb' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert told.stdout.splitlines()[-1] == "False"


async def test_what_a_hook_raises_reaches_the_test() -> None:
    """A hook that finds something wrong drops the request, which has not acted, and fails the test at the end."""
    exchange = LoopbackExchange(planted_triangle(), balances=MONEY)

    def no_orders(request: Any) -> None:
        assert request.on is not Endpoint.SUBMIT, "there is no intent for it"

    exchange.on_arrival.append(no_orders)

    async def trade() -> None:
        async with exchange, exchange.client() as binance:
            with pytest.raises(ccxt.ExchangeNotAvailable):
                await binance.create_order("BTC/USDT", "limit", "buy", 0.1, 100)
            assert exchange.engine.balances["BTC"].free == 5

    with pytest.raises(AssertionError, match="no intent"):
        await trade()
    async with exchange:
        assert exchange.port


SENDER = """
import hashlib, hmac, http.client, sys, time
port, secret, client_id = int(sys.argv[1]), sys.argv[2], sys.argv[3]
body = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.1&price=100&recvWindow=5000"
    f"&newClientOrderId={client_id}&timestamp={time.time_ns() // 10**6}"
)
body += "&signature=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
wire = http.client.HTTPConnection("127.0.0.1", port)
wire.request("POST", "/api/v3/order", body, {"X-MBX-APIKEY": sys.argv[4]})
wire.getresponse()
"""


@pytest.mark.parametrize("fault", [Hang(), Late(0.3)], ids=repr)
def test_it_outlives_a_killed_client(fault: Fault) -> None:
    """E1: an order whose sender is SIGKILLed before the answer acts all the same, at once or late, and the next is served."""
    script = FaultScript([FaultRule("submit", fault)])
    with in_background(planted_triangle(), balances=MONEY, faults=script) as exchange:
        keys = exchange.credentials
        for client_id in ("killed", "after"):
            args = [sys.executable, "-c", SENDER, str(exchange.port), keys.secret, client_id]
            sender = subprocess.Popen([*args, keys.key])
            if client_id == "killed":
                wait_until(lambda: exchange.posts() == {"killed": 1})
                os.kill(sender.pid, signal.SIGKILL)
                sender.wait(5)
                wait_until(lambda: exchange.engine.fills("killed"))
            assert sender.wait(5) == (-signal.SIGKILL if client_id == "killed" else 0)
        assert exchange.posts() == {"killed": 1, "after": 1}
        assert len(exchange.engine.fills("after")) == 1
        assert_sound(exchange.engine)


def wait_until(holds: Any) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_a_late_order_does_not_outlive_the_exchange() -> None:
    """What is under way when the exchange is left never acts."""
    script = FaultScript([FaultRule("submit", Late(30))])
    async with (
        LoopbackExchange(planted_triangle(), balances=MONEY, faults=script) as exchange,
        exchange.client(timeout=100) as binance,
    ):
        with pytest.raises(ccxt.RequestTimeout):
            await binance.create_order("BTC/USDT", "limit", "buy", 0.1, 100)
    assert exchange.engine.balances["BTC"].free == 5


def test_a_market_that_is_changed_must_be_there() -> None:
    """The engine changes a market's rules, not its list; an order whose fee is changed under it keeps its own."""
    market = Market("BTC/USDT", "BTC", "USDT")
    engine = MatchingEngine([market], FeeSchedule.flat(0), balances={"USDT": D(100)})
    with pytest.raises(UsageError, match="ETH/USDT"):
        engine.set_market(Market("ETH/USDT", "ETH", "USDT"))
    resting = Order("tri1", "BTC/USDT", Side.BUY, D(1), D(50), TimeInForce.GTC)
    assert not isinstance(engine.submit(resting, 0), Refused)
    engine.set_fees(FeeSchedule.flat(100))
    engine.set_market(attrs.evolve(market, active=False))
    assert_sound(engine)
    engine.cancel("tri1", "BTC/USDT", 1)
    assert engine.balances == {"USDT": Balance(D(100))}
    assert Fees("5").bps == 5
