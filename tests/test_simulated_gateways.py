"""Paper and replay: anyone's market, simulated orders, and time that is told by whoever plays it."""

import asyncio
from decimal import Decimal

import attrs
import pytest

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayUnavailable, SourceError, UsageError
from triarb.gateways import replay
from triarb.gateways.gateway import Restorable
from triarb.gateways.paper import PaperGateway
from triarb.gateways.replay import ReplayGateway
from triarb.market.books import parse_book
from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot
from triarb.market.tape import Tape
from triarb.model import (
    Balance,
    Market,
    NotFound,
    Order,
    OrderStatus,
    Quote,
    Side,
    SubmissionStatus,
    TimeInForce,
    Withdrawn,
)
from triarb.money import arithmetic

D = Decimal
BTC, ETH = Market("BTC/USDT", "BTC", "USDT"), Market("ETH/USDT", "ETH", "USDT")
FREE = FeeSchedule.flat(0)


def order(side, amount, price=None, tif=TimeInForce.IOC, client_id="a", symbol="BTC/USDT"):
    return Order(client_id, symbol, side, D(amount), None if price is None else D(price), tif)


class Source:
    """A market that shows `asks` at any time, and says when it was asked; its trading side must not be touched."""

    exchange = "somewhere"

    def __init__(self, asks=(("100", "1"), ("101", "2"), ("102", "3"))):
        self.clock = ManualClock(1000)
        self.asks = asks
        self.asked = []
        self.entered = 0

    async def markets(self):
        await asyncio.sleep(0)
        return [BTC, ETH]

    async def quotes(self):
        yield [Quote("BTC/USDT", D(99), D(100))]

    async def order_book(self, symbol, depth=20, /):
        self.asked.append((symbol, depth, self.clock.now_ns()))
        if self.asks is None:
            raise GatewayUnavailable("it is silent", code="gateway.unavailable")
        asks = self.asks(self.clock.now_ns()) if callable(self.asks) else self.asks
        return parse_book(symbol, [], asks[:depth], received_ns=self.clock.now_ns())


class Venue(Source):
    """A full exchange whose fees may be asked, and nothing else that is private."""

    async def __aenter__(self):
        self.entered += 1
        return self

    async def __aexit__(self, *_):
        self.entered -= 1

    async def fees(self, symbols=None, /):
        return FeeSchedule.flat(10)

    async def balances(self):
        raise AssertionError("paper trading asked for real balances")

    async def submit(self, order, /):
        raise AssertionError("paper trading sent a real order")

    async def look_up(self, client_id, symbol, /):
        raise AssertionError("paper trading looked up a real order")

    async def cancel(self, client_id, symbol, /):
        raise AssertionError("paper trading canceled a real order")


def paper(source=None, **options):
    options = {"balances": {"USDT": "1000"}, "fees": FREE, **options}
    return PaperGateway(source or Source(), **options)


async def totals(gateway):
    with arithmetic():
        return {asset: balance.total for asset, balance in (await gateway.balances()).items()}


class TestPaper:
    """PaperGateway over a market of our own."""

    async def test_an_order_fills_on_paper_and_the_account_keeps_it(self):
        """A buy of 2 at 101 takes 100 and 101 of the source's book; 799 USDT are left."""
        gateway = paper()
        answer = await gateway.submit(order(Side.BUY, "2", "101"))
        assert answer.status is SubmissionStatus.ACCEPTED
        assert answer.state.status is OrderStatus.FILLED
        assert [(f.price, f.amount) for f in answer.state.fills] == [(100, 1), (101, 1)]
        assert await totals(gateway) == {"BTC": 2, "USDT": 799}
        assert await gateway.look_up("a", "BTC/USDT") == answer.state
        assert await gateway.cancel("a", "BTC/USDT") == answer.state
        assert await gateway.look_up("b", "BTC/USDT") == NotFound("b", "BTC/USDT")

    async def test_it_acts_after_the_latency_on_the_book_known_by_then(self):
        """The price moves from 100 to 90 after 200 ms: an order of 250 ms latency buys at 90."""
        moves_at = 1000 + 200 * NS_PER_MS
        source = Source(lambda now_ns: [("100" if now_ns < moves_at else "90", "1")])
        gateway = paper(source, latency_ms=250)
        await gateway.order_book("BTC/USDT")
        answer = await gateway.submit(order(Side.BUY, "1", "100"))
        (fill,) = answer.state.fills
        assert (fill.price, fill.time_ns) == (90, 1000 + 250 * NS_PER_MS)
        assert [at for *_, at in source.asked] == [1000, 1000 + 250 * NS_PER_MS]

    async def test_a_market_that_is_gone_by_then_fills_nothing(self):
        """What was shown when the order was sent does not count."""
        source = Source(lambda now_ns: [("100", "1")] if now_ns == 1000 else [])
        gateway = paper(source)
        assert (await gateway.order_book("BTC/USDT")).asks
        answer = await gateway.submit(order(Side.BUY, "1", "100"))
        assert (answer.state.status, answer.state.filled) == (OrderStatus.EXPIRED, 0)

    async def test_what_we_took_is_not_shown_again(self):
        """The source shows the same book for ever; ours lacks what we took of it, and a second order goes deeper."""
        gateway = paper()
        await gateway.submit(order(Side.BUY, "1.5", "101"))
        book = await gateway.order_book("BTC/USDT", 2)
        assert [(level.price, level.amount) for level in book.asks] == [(101, D("1.5"))]
        answer = await gateway.submit(order(Side.BUY, "2", "102"))
        assert [f.price for f in answer.state.fills] == [101, 102]

    async def test_orders_act_on_no_less_depth_than_was_shown(self):
        """A book of 30 levels was read, so that the order's own reading asks for 30 too; else for 20."""
        source = Source()
        gateway = paper(source)
        for depth in (5, 30, 10):
            await gateway.order_book("BTC/USDT", depth)
            await gateway.submit(order(Side.BUY, "0.1", "100"))
        assert [depth for _, depth, _ in source.asked] == [5, 20, 30, 30, 10, 30]

    async def test_without_a_book_there_is_no_liquidity(self):
        """A silent source: a limit order expires unfilled, a market order is rejected by name, reading a book raises."""
        source = Source()
        gateway = paper(source)
        await gateway.order_book("BTC/USDT")
        source.asks = None
        answer = await gateway.submit(order(Side.BUY, "1", "200"))
        assert (answer.state.status, answer.state.filled) == (OrderStatus.EXPIRED, 0)
        answer = await gateway.submit(order(Side.BUY, "1"))
        assert answer.status is SubmissionStatus.REJECTED
        assert answer.reason.startswith("order.no_market_price: ")
        with pytest.raises(GatewayUnavailable):
            await gateway.order_book("BTC/USDT")

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (order(Side.BUY, "11", "100"), "order.insufficient_balance: BTC/USDT: 1100 USDT"),
            (order(Side.BUY, "1", "100", symbol="X/Y"), "order.unknown_market: X/Y"),
        ],
    )
    async def test_a_refusal_is_a_rejection_with_its_reason(self, bad, reason):
        """Code and sentence are in the answer, no state is, and an unknown market is not asked for."""
        source = Source()
        answer = await paper(source).submit(bad)
        assert answer.status is SubmissionStatus.REJECTED
        assert answer.state is None
        assert answer.reason.startswith(reason)
        assert all(symbol == "BTC/USDT" for symbol, *_ in source.asked)

    async def test_a_resting_order_fills_when_it_is_looked_up(self):
        """A bid of 95 rests with 95 locked; when the asks fall to 94 a look-up finds it filled at 95."""
        source = Source()
        gateway = paper(source)
        answer = await gateway.submit(order(Side.BUY, "1", "95", TimeInForce.GTC))
        assert answer.state.status is OrderStatus.OPEN
        assert (await gateway.balances())["USDT"] == Balance(D(905), D(95))
        assert await gateway.look_up("a", "BTC/USDT") == answer.state
        source.asks = None
        assert await gateway.look_up("a", "BTC/USDT") == answer.state
        source.asks = [("94", "5")]
        state = await gateway.look_up("a", "BTC/USDT")
        assert [(f.price, f.amount) for f in state.fills] == [(95, 1)]

    async def test_a_resting_order_can_be_canceled(self):
        """It is CANCELED, and its funds are free again."""
        gateway = paper()
        await gateway.submit(order(Side.BUY, "1", "95", TimeInForce.GTC))
        assert (await gateway.cancel("a", "BTC/USDT")).status is OrderStatus.CANCELED
        assert await gateway.balances() == {"USDT": Balance(D(1000))}

    async def test_nothing_private_reaches_the_source(self):
        """A full exchange whose trading side raises serves as a source, and only its fees are used."""
        venue = Venue()
        async with PaperGateway(venue, balances={"USDT": "1000"}) as gateway:
            assert venue.entered == 1
            await gateway.submit(order(Side.BUY, "1", "100"))
            await gateway.submit(order(Side.BUY, "1", "95", TimeInForce.GTC, "b"))
            await gateway.look_up("b", "BTC/USDT")
            await gateway.cancel("b", "BTC/USDT")
            gateway.restore(await totals(gateway))
            assert await totals(gateway) == {"BTC": D("0.999"), "USDT": 900}
            assert await gateway.fees(["BTC/USDT"]) == FeeSchedule.flat(10)
        assert venue.entered == 0

    async def test_fees_that_nobody_knows_are_a_usage_error(self):
        """There is no default: entering says to pass fees, and leaves the source again; given ones come first."""
        source = Source()
        with pytest.raises(UsageError, match="pass fees") as caught:
            async with PaperGateway(source, balances={}):
                raise AssertionError("entered without fees")
        assert caught.value.code == "fees.unknown"
        assert await PaperGateway(Venue(), balances={}, fees=FREE).fees() == FREE

    async def test_a_source_is_left_when_entering_fails(self):
        """A venue whose markets cannot be read is closed again."""
        venue = Venue()

        async def no_markets():
            raise GatewayUnavailable("it is silent", code="gateway.unavailable")

        venue.markets = no_markets
        with pytest.raises(GatewayUnavailable):
            await PaperGateway(venue, balances={}).__aenter__()
        assert venue.entered == 0

    async def test_data_calls_pass_through(self):
        """Markets, quotes, clock and id are the source's; the mode is paper."""
        source = Source()
        gateway = paper(source)
        assert await gateway.markets() == [BTC, ETH]
        assert [batch async for batch in gateway.quotes()] == [[Quote("BTC/USDT", D(99), D(100))]]
        assert (gateway.clock, gateway.exchange, gateway.mode) == (
            source.clock,
            "somewhere",
            "paper",
        )

    async def test_calls_at_once_start_one_account(self):
        """Two orders sent together trade from the same balances and the same level."""
        gateway = paper(Source([("100", "1.5")]))
        answers = await asyncio.gather(
            gateway.submit(order(Side.BUY, "1", "100", client_id="a")),
            gateway.submit(order(Side.BUY, "1", "100", client_id="b")),
        )
        assert [answer.state.filled for answer in answers] == [1, D("0.5")]
        assert await totals(gateway) == {"BTC": D("1.5"), "USDT": 850}

    @pytest.mark.parametrize("early", [True, False])
    async def test_a_ledger_goes_on_with_its_own_balances(self, early):
        """What is restored is exactly what is held then, before the first call and after it."""
        gateway = paper(balances={"USDT": "1000", "BTC": "1"})
        assert isinstance(gateway, Restorable)
        if not early:
            await gateway.balances()
        long = D("12345678901234.000000000000000000000001")
        gateway.restore({"USDT": long, "ETH": D(2)})
        assert await totals(gateway) == {"USDT": long, "ETH": 2}

    async def test_balances_are_not_replaced_under_an_open_order(self):
        """Nor by ones below zero; the account stays as it was."""
        gateway = paper()
        await gateway.submit(order(Side.BUY, "1", "95", TimeInForce.GTC))
        with pytest.raises(UsageError, match="open orders"):
            gateway.restore({"USDT": D(1)})
        with pytest.raises(UsageError, match="ETH is -1"):
            gateway.restore({"ETH": D(-1)})
        assert await gateway.balances() == {"USDT": Balance(D(905), D(95))}

    @pytest.mark.parametrize("amount", [1000.0, "-1", "many", "NaN", None])
    def test_a_balance_that_makes_no_sense_names_its_asset(self, amount):
        """Floats, negative and non-finite numbers and plain words are refused at once."""
        with pytest.raises(UsageError, match="balance of USDT"):
            paper(balances={"BTC": "1", "USDT": amount})

    @pytest.mark.parametrize("latency_ms", [-1, float("nan"), float("inf")])
    def test_a_latency_that_cannot_be_is_refused(self, latency_ms):
        """No order arrives before it was sent, or never."""
        with pytest.raises(UsageError, match="latency"):
            paper(latency_ms=latency_ms)


START = 1_600_000_000 * NS_PER_SECOND


def ms(count):
    return START + count * NS_PER_MS


def quote(at, ask="100", size="1", symbol="BTC/USDT"):
    return Quote(symbol, D(ask) - 1, D(ask), D(size), D(size), ms(at))


def tape(*changes, volumes="top"):
    snapshot = Snapshot(
        "recorded",
        START,
        (BTC, ETH),
        (quote(0), quote(0, "10", symbol="ETH/USDT")),
        taker_fee=D("0.001"),
        volumes=volumes,
    )
    return Tape.of(snapshot, changes)


def replaying(*changes, **options):
    return ReplayGateway(tape(*changes), **{"balances": {"USDT": "1000"}, **options})


async def upcoming(feed):
    """The next batch as (symbol, milliseconds since the start); None at the end."""
    batch = await anext(feed, None)
    return batch and [(c.symbol, (c.received_ns - START) // NS_PER_MS) for c in batch]


class TestReplay:
    """ReplayGateway over tapes in memory."""

    async def test_quotes_move_the_clock_from_batch_to_batch(self):
        """The first batch holds every market; changes of one instant come together; then it ends."""
        gateway = replaying(
            quote(10), quote(10, "11", symbol="ETH/USDT"), quote(30), quote(40, "7")
        )
        feed = gateway.quotes()
        assert gateway.clock.now_ns() == START
        assert await upcoming(feed) == [("BTC/USDT", 0), ("ETH/USDT", 0)]
        assert gateway.clock.now_ns() == START
        assert await upcoming(feed) == [("BTC/USDT", 10), ("ETH/USDT", 10)]
        assert gateway.clock.now_ns() == ms(10)
        assert await upcoming(feed) == [("BTC/USDT", 30)]
        assert await upcoming(feed) == [("BTC/USDT", 40)]
        assert await upcoming(feed) is None
        assert gateway.clock.now_ns() == ms(40)
        assert (gateway.exchange, gateway.mode) == ("recorded", "replay")
        assert await gateway.markets() == (BTC, ETH)

    async def test_what_falls_due_in_a_sleep_is_conflated(self):
        """After 25 ms of sleep the book is that of 20 ms, and one batch has the latest of each market."""
        gateway = replaying(
            quote(10, "101"), quote(15, "11", symbol="ETH/USDT"), quote(20, "102"), quote(30, "103")
        )
        feed = gateway.quotes()
        await upcoming(feed)
        await gateway.clock.sleep(0.025)
        assert (await gateway.order_book("BTC/USDT")).asks[0].price == 102
        assert gateway.clock.now_ns() == ms(25)
        assert await upcoming(feed) == [("BTC/USDT", 20), ("ETH/USDT", 15)]
        assert gateway.clock.now_ns() == ms(25)
        assert await upcoming(feed) == [("BTC/USDT", 30)]

    async def test_the_first_batch_of_any_feed_holds_every_market(self):
        """Also one that begins late, after a sleep or beside another one."""
        gateway = replaying(quote(10), quote(30))
        await gateway.clock.sleep(0.02)
        assert await upcoming(gateway.quotes()) == [("BTC/USDT", 10), ("ETH/USDT", 0)]
        feed = gateway.quotes()
        assert await upcoming(feed) == [("BTC/USDT", 10), ("ETH/USDT", 0)]
        assert await upcoming(feed) == [("BTC/USDT", 30)]

    async def test_a_book_is_the_quote_received_when_asked_for(self):
        """One level a side, as fresh as the clock; sizes that are not told give no level."""
        bare = Quote("ETH/USDT", D(9), D(10), None, D(3), ms(5), ms(4))
        gateway = replaying(bare)
        await gateway.clock.sleep(0.007)
        book = await gateway.order_book("ETH/USDT")
        assert (book.bids, [(lv.price, lv.amount) for lv in book.asks]) == ((), [(10, 3)])
        assert (book.received_ns, book.exchange_ns) == (ms(7), ms(4))

    async def test_an_order_acts_on_the_tape_as_it_is_after_the_latency(self):
        """Sent at 0 with 50 ms of latency, it meets the quote of 40 ms, and pays the tape's fee."""
        gateway = replaying(quote(40, "98"), quote(60, "50"))
        answer = await gateway.submit(order(Side.BUY, "1", "100"))
        (fill,) = answer.state.fills
        assert (fill.price, fill.time_ns, fill.fees) == (98, ms(50), {"BTC": D("0.001")})
        assert await gateway.fees() == tape().fees()

    async def test_a_withdrawn_market_has_no_book(self):
        """Reading it raises, an order expires, and what was taken before stays taken after."""
        gateway = replaying(Withdrawn("BTC/USDT", ms(60)), quote(160), latency_ms=50)
        assert (await gateway.submit(order(Side.BUY, "1", "100"))).state.filled == 1
        feed = gateway.quotes()
        assert await upcoming(feed) == [("BTC/USDT", 0), ("ETH/USDT", 0)]
        assert await upcoming(feed) == [("BTC/USDT", 60)]
        with pytest.raises(GatewayUnavailable, match="BTC/USDT"):
            await gateway.order_book("BTC/USDT")
        answer = await gateway.submit(order(Side.BUY, "1", "100"))
        assert (answer.state.status, answer.state.filled) == (OrderStatus.EXPIRED, 0)
        await upcoming(feed)
        assert (await gateway.order_book("BTC/USDT")).asks == ()

    async def test_every_quote_of_the_tape_counts_for_what_is_left(self):
        """A level that vanished for 10 ms while nobody looked is new when it comes back."""
        gateway = replaying(quote(60, "101"), quote(70, "100"), latency_ms=50)
        assert (await gateway.submit(order(Side.BUY, "1", "100"))).state.filled == 1
        await gateway.clock.sleep(0.05)
        assert [level.amount for level in (await gateway.order_book("BTC/USDT")).asks] == [1]

    async def test_a_resting_order_fills_on_a_quote_that_nobody_asked_for(self):
        """A bid of 95 is crossed for 10 ms in the middle of a sleep, and fills at the time of that quote."""
        gateway = replaying(quote(60, "94", "0.4"), quote(70), latency_ms=50)
        await gateway.submit(order(Side.BUY, "1", "95", TimeInForce.GTC))
        await gateway.clock.sleep(1)
        state = await gateway.look_up("a", "BTC/USDT")
        assert [(f.price, f.amount, f.time_ns) for f in state.fills] == [(95, D("0.4"), ms(60))]

    async def test_the_same_tape_gives_the_same_fills(self):
        """Two replays of the same orders agree to the last byte."""

        async def played():
            gateway = replaying(
                *(quote(30 * n, str(100 + n % 7), str(1 + n % 3)) for n in range(1, 40)),
                balances={"USDT": "5000"},
            )
            seen = []
            async for batch in gateway.quotes():
                side = Side.SELL if len(seen) % 3 == 2 else Side.BUY
                tif = list(TimeInForce)[len(seen) % 3]
                sent = order(side, "1.5", "103", tif, f"o{len(seen)}")
                seen.append((batch, await gateway.submit(sent), await gateway.balances()))
            return repr(seen)

        first = await played()
        assert "Fill(" in first
        assert first == await played()

    async def test_a_pace_keeps_tape_time_behind_real_time(self, monkeypatch):
        """At twice real time, 1 s of tape takes half a second, whether quotes or a sleep ask for it."""
        wall = ManualClock(77)
        monkeypatch.setattr(replay, "SystemClock", lambda: wall)
        gateway = replaying(quote(1000), quote(3000), pace=2)
        feed = gateway.quotes()
        await upcoming(feed)
        assert wall.now_ns() == 77
        await upcoming(feed)
        assert wall.now_ns() == 77 + 500 * NS_PER_MS
        await gateway.clock.sleep(1)
        assert wall.now_ns() == 77 + 1000 * NS_PER_MS
        wall.advance_to(wall.now_ns() + NS_PER_SECOND)  # a slow reader does not wait on top
        await upcoming(feed)
        assert wall.now_ns() == 77 + 2000 * NS_PER_MS
        assert gateway.clock.now_ns() == ms(3000)

    async def test_without_a_pace_nothing_waits(self, monkeypatch):
        """Hours of tape pass while the wall clock stands still."""
        wall = ManualClock(77)
        monkeypatch.setattr(replay, "SystemClock", lambda: wall)
        gateway = replaying(quote(7_200_000))
        batches = [batch async for batch in gateway.quotes()]
        assert len(batches) == 2
        assert wall.now_ns() == 77

    async def test_playing_lets_other_tasks_run(self):
        """A task beside an endless-looking loop over quotes gets its turn at every batch."""
        gateway = replaying(quote(10), quote(20), quote(30))
        turns = []

        async def beside():
            while True:
                turns.append(gateway.clock.now_ns())
                await asyncio.sleep(0)

        task = asyncio.create_task(beside())
        async for _ in gateway.quotes():
            pass
        task.cancel()
        assert len(turns) >= 3

    async def test_it_lets_go_of_its_file(self, tmp_path):
        """A tape file that was not played to its end is closed on exit, and plays no further."""
        path = tmp_path / "tape.jsonl"
        made = tape()
        Tape.write(path, made.snapshot, [quote(10), quote(20)])
        async with ReplayGateway(Tape.load(path), balances={}) as gateway:
            feed = gateway.quotes()
            await upcoming(feed)
        assert await upcoming(feed) is None

    async def test_a_tape_of_no_markets_ends_at_once(self):
        """Nothing is shown and nothing fails."""
        empty = Tape.of(Snapshot("recorded", START, (), ()), [])
        gateway = ReplayGateway(empty, balances={}, fees=FREE)
        assert [batch async for batch in gateway.quotes()] == []

    @pytest.mark.parametrize("pace", [0, -1, float("nan"), float("inf")])
    def test_a_pace_that_cannot_be_is_refused(self, pace):
        """Time neither stands still nor runs back."""
        with pytest.raises(UsageError, match="pace"):
            replaying(pace=pace)

    def test_sizes_that_are_sums_are_refused(self):
        """Orders would fill at the best price from amounts that never stood there."""
        with pytest.raises(SourceError, match="sums over several levels") as caught:
            ReplayGateway(tape(volumes="aggregate"), balances={})
        assert caught.value.code == "source.aggregate_volumes"
        assert attrs.evolve(tape().snapshot, volumes="top") == tape().snapshot
