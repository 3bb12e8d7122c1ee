"""ParallelExecutor: all legs at once out of inventory, every order proven, and what is out of balance brought back."""

import asyncio
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import ManualClock
from triarb.engine import Engine
from triarb.exceptions import LedgerError, TradingRefused, UsageError
from triarb.execution import ExecutionContext, ParallelExecutor, SequentialExecutor, Unwinding
from triarb.execution.at_once import given as given_by
from triarb.execution.rebalancing import imbalance, next_turn
from triarb.execution.unwinding import fresh_view
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import Ledger
from triarb.ledger.accounts import Accounts
from triarb.market import RateTable
from triarb.market.tape import Tape
from triarb.model import (
    BalancesSet,
    Declined,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fill,
    Intended,
    Level,
    NotFound,
    OrderBook,
    OrderOutcome,
    Outcome,
    Portfolio,
    Purpose,
    Quote,
    Refused,
    Side,
    Submission,
    SubmissionStatus,
)
from triarb.money import plain
from triarb.risk import RiskLimits
from triarb.simulation import MatchingEngine
from triarb.testing import check_executor
from triarb.testing.execution import _plan
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
RATES = RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes)
VIEW = RATES.view()
PLAN = _plan(RATES)
MOST = {"USDT": "200", "BTC": "2", "ETH": "40"}
HELD = {"USDT": D(1000), "BTC": D(5), "ETH": D(70)}
REJECTED = Submission(SubmissionStatus.REJECTED, reason="-1013")
UNKNOWN = Submission(SubmissionStatus.UNKNOWN, reason="timeout")


def books(**sizes):
    """The planted triangle's books, with these sizes by base and quote joined."""
    shown = {}
    for quote in SNAPSHOT.quotes:
        size = D(sizes.get(quote.symbol.replace("/", ""), 50))
        sides = [(Level(price, size),) if size else () for price in (quote.bid, quote.ask)]
        shown[quote.symbol] = OrderBook(quote.symbol, *sides, START_NS)
    return shown


class Venue:
    """An account at a matching engine: what it shows when an order comes is told by order, and otherwise the whole books."""

    order_expiry_ns = 0

    def __init__(self, *, first=None, answers=None, held=HELD):
        self.engine = MatchingEngine(SNAPSHOT.markets, SNAPSHOT.fees(), balances=dict(held))
        self.clock = ManualClock(START_NS)
        self.first, self.answers = first or {}, answers or {}
        self.sent = []

    def show(self, shown):
        for book in shown.values():
            self.engine.set_book(book)

    async def submit(self, order, /):
        self.sent.append(order)
        await asyncio.sleep(0)
        answer = self.answers.get(order.client_id[-4:])
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        on_plan = order.client_id[-4:-2] in ("l1", "l2", "l3")
        self.show(self.first if on_plan and self.first else books())
        state = self.engine.submit(order, self.clock.now_ns())
        if isinstance(state, Refused):
            return Submission(SubmissionStatus.REJECTED, reason=str(state))
        return Submission(SubmissionStatus.ACCEPTED, state)

    async def look_up(self, client_id, symbol, /):
        return self.engine.look_up(client_id, symbol)

    async def cancel(self, client_id, symbol, /):
        return self.engine.cancel(client_id, symbol, self.clock.now_ns())

    async def balances(self):
        return self.engine.balances

    async def order_book(self, symbol, depth=20, /):
        self.show(books())
        return self.engine.book(symbol)

    def held(self):
        return {a: b.total for a, b in self.engine.balances.items() if b.total}


class Books(Ledger):
    """A ledger in memory that keeps its events, and what was reserved whenever some had been appended."""

    def __init__(self, held=HELD):
        self.accounts, self.events, self.reserved = Accounts(), [], []
        self.accounts.apply(BalancesSet(0, dict(held), "opening"))

    async def append(self, *events):
        self.accounts.apply(*events)
        self.events += events
        self.reserved.append(dict(self.portfolio().reserved))

    def portfolio(self):
        return self.accounts.state.portfolio

    def unfinished(self):
        return tuple(self.accounts.state.unfinished.values())


async def run(venue, *, gate=lambda _order, _purpose: None, executor=None, plan=PLAN):
    """Carry out the plan at once: the execution, and the ledger."""
    ledger = Books(venue.held())
    context = ExecutionContext(
        venue,
        venue.order_book,
        VIEW,
        ledger,
        venue.clock,
        gate,
        lambda _event: None,
        "abcd",
        1,
    )
    execution = await (executor or ParallelExecutor(max_given=MOST)).execute(plan, context)
    if execution.outcome is not Outcome.STUCK:
        assert dict(ledger.portfolio().balances) == venue.held()  # I4
        assert not ledger.portfolio().reserved  # I6
    return execution, ledger


@pytest.mark.once
async def test_parallel_executor_conforms():
    """It passes the check that authors of executors run."""
    await check_executor(lambda: ParallelExecutor(max_given=MOST))


async def test_all_intents_are_durable_before_the_first_order():
    """I1, I6: three intents that open, then three orders of the plan's amounts; all that they give is reserved till the end."""
    execution, ledger = await run(Venue())
    kinds = [type(event) for event in ledger.events]
    assert kinds[:4] == [ExecutionStarted, Intended, Intended, Intended]
    assert Intended not in kinds[4:]
    orders = [event.order for event in ledger.events if isinstance(event, Intended)]
    assert [order.amount for order in orders] == [leg.amount for leg in PLAN.legs]
    assert {str(e.purpose) for e in ledger.events if isinstance(e, Intended)} == {"open"}
    assert all(reserved == given_by(PLAN) for reserved in ledger.reserved[:-1])
    assert ledger.reserved[-1] == {}
    assert execution.outcome is Outcome.COMPLETED
    assert execution.result == PLAN.expected_result


@pytest.mark.parametrize(
    ("most", "held", "code"),
    [
        ({**MOST, "BTC": "0.5"}, HELD, "parallel.exposure"),
        ({"USDT": "200", "BTC": "2"}, HELD, "parallel.exposure"),
        (MOST, {**HELD, "ETH": D(5)}, "parallel.balance"),
        (MOST, {**HELD, "BTC": D("0.5")}, "parallel.balance"),
    ],
)
async def test_a_plan_that_gives_too_much_is_refused(most, held, code):
    """I6, I7: without a stated maximum, or without enough of every asset, no order is sent, and the reason is on record."""
    venue = Venue(held=held)
    execution, ledger = await run(venue, executor=ParallelExecutor(max_given=most))
    assert (execution.outcome, execution.reason.code) == (Outcome.NOTHING, code)
    assert venue.sent == []
    assert [type(event) for event in ledger.events] == [ExecutionStarted, ExecutionEnded]


def test_what_is_refused_is_told_to_the_last_unit():
    """I6: as much as is stated and free passes; a unit less of either refuses, with the asset and both amounts."""
    gives = given_by(PLAN)
    held = Portfolio(balances=gives)
    assert ParallelExecutor(max_given=gives).refuses(PLAN, held) is None
    less = gives["BTC"] - D("0.001")
    assert ParallelExecutor(max_given={**gives, "BTC": less}).refuses(PLAN, held) == Refused(
        "parallel.exposure",
        f"it gives {plain(gives['BTC'])} BTC, and at most {plain(less)} may be given",
        {"asset": "BTC", "amount": gives["BTC"], "most": less},
    )
    short = Portfolio(balances={**gives, "BTC": less})
    assert ParallelExecutor(max_given=gives).refuses(PLAN, short) == Refused(
        "parallel.balance",
        f"it gives {plain(gives['BTC'])} BTC, and {plain(less)} is free",
        {"asset": "BTC", "amount": gives["BTC"], "free": less},
    )


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (["5 USDT"], 'max_given is [\'5 USDT\'] (such as {"USDT": "150"})'),
        (
            {"USDT": 0.5},
            'max_given of USDT: 0.5 is a float, not an exact number (give text, such as "5")',
        ),
        ({"USDT": "-1"}, "max_given of USDT is -1 (give 0 or more)"),
    ],
    ids=["no mapping", "a float", "below zero"],
)
def test_amounts_of_nonsense_are_named(most, words):
    """The asset, the value, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        ParallelExecutor(max_given=most)
    assert str(caught.value) == words


def test_it_is_set_as_it_was_told():
    """Seconds are what was given, the same by default as of legs one after the other; nothing of an asset may be given, too."""
    told = ParallelExecutor(max_given={"USDT": "0"}, leg_seconds=3, cycle_seconds=9, send_seconds=2)
    settings_ = told.settings
    assert (settings_.leg_seconds, settings_.cycle_seconds, settings_.send_seconds) == (3, 9, 2)
    assert ParallelExecutor(max_given={}).settings == SequentialExecutor().settings


async def test_an_engine_declines_what_its_executor_refuses():
    """Why did it not trade? A plan that the executor would refuse is counted, and no execution begins."""
    told = []
    later = Quote("ETH/USDT", D("5.05"), D("5.06"), D(50), D(50), START_NS + 10**10)
    risk = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
    for balances, outcomes, codes in [
        ({"USDT": "1000"}, {}, {"parallel.balance"}),
        ({"USDT": "1000", "BTC": "5", "ETH": "70"}, {Outcome.COMPLETED: 1}, set()),
    ]:
        async with ReplayGateway(Tape.of(SNAPSHOT, [later]), balances=balances) as gateway:
            engine = Engine(
                gateway,
                risk=risk,
                executor=ParallelExecutor(max_given=MOST),
                start=["USDT"],
                observers=[told.append],
            )
            report = await engine.run(cycles=1)
        assert (report.outcomes, set(report.refused)) == (outcomes, codes)
    assert any(isinstance(event, Declined) for event in told)


@pytest.mark.parametrize("missing", [1, 2, 3])
async def test_a_leg_that_is_rejected_is_made_up_for(missing):
    """A7: with one leg missing inventory is out of balance; it is brought back over the same market, within the budget."""
    venue = Venue(answers={f"l{missing}a0": REJECTED})
    execution, ledger = await run(venue)
    assert execution.outcome is Outcome.UNWOUND
    assert f"leg {missing}" in execution.reason.sentence
    assert execution.legs[missing - 1].outcome is OrderOutcome.REJECTED
    purposes = [e.purpose for e in ledger.events if isinstance(e, Intended)][3:]
    assert set(purposes) == {Purpose.UNWIND}
    assert imbalance(PLAN, [f for r in orders_of(execution) for f in r.fills]).loss <= PLAN.max_loss
    for asset in ("BTC", "ETH"):
        left = execution.changes[asset] * {"BTC": 100, "ETH": 5}[asset]
        assert abs(left) < 6  # less than the market takes


def orders_of(execution):
    return (*execution.legs, *execution.further)


sizes = st.sampled_from(["0", "0.1", "0.3", "0.7", "1", "50"])


@settings(max_examples=60)
@given(sizes, sizes, sizes, st.sampled_from(["cheapest", "forward", "hold"]))
def test_whatever_fills_is_booked_and_brought_back_within_the_budget(btc, eth_btc, eth, way):
    """I4, I6, I7, I9: for every mix of partial fills the books agree, nothing stays reserved, and the loss is in the budget."""

    async def check():
        first = books(BTCUSDT=btc, ETHBTC=D(eth_btc) * 20, ETHUSDT=D(eth) * 20)
        executor = ParallelExecutor(max_given=MOST, unwinding=Unwinding(way))
        execution, _ = await run(Venue(first=first), executor=executor)
        fills = [fill for result in orders_of(execution) for fill in result.fills]
        assert execution.outcome is not Outcome.STUCK
        assert execution.outcome is Outcome.NOTHING or fills
        assert imbalance(PLAN, fills).loss <= PLAN.max_loss
        assert len(execution.further) <= 6
        assert way != "hold" or not execution.further
        whole = all(
            r.filled == leg.amount for r, leg in zip(execution.legs, PLAN.legs, strict=True)
        )
        assert whole is (execution.outcome is Outcome.COMPLETED)
        if execution.outcome is Outcome.UNWOUND and way == "cheapest":
            worth = {"BTC": 100, "ETH": 5}
            assert all(abs(execution.changes.get(a, D(0))) * w < 6 for a, w in worth.items())

    asyncio.run(check())


async def test_a_halt_between_two_of_its_orders_lets_what_went_out_be_brought_back():
    """I8, E9: a gate that closes after the first order stops the others, not what brings inventory back; if it freezes, that too."""
    for freezes in (False, True):
        venue = Venue()

        def gate(_order, purpose, venue=venue, freezes=freezes):
            shut = venue.sent and (freezes or purpose is Purpose.OPEN)
            return Refused("engine.halted", "halted") if shut else None

        execution, _ = await run(venue, gate=gate)
        assert [bool(leg.filled) for leg in execution.legs] == [True, False, False]
        assert execution.reason.code == "engine.halted"
        assert execution.outcome is (Outcome.SHORT if freezes else Outcome.UNWOUND)
        assert (len(venue.sent) == 1) is freezes


async def test_a_closed_gate_lets_none_of_its_orders_pass():
    """I8: where one of them would not be let through, none is sent."""
    venue = Venue()
    last = PLAN.legs[2].market.symbol
    no = Refused("mine.no", "no")
    execution, ledger = await run(venue, gate=lambda o, _: no if o.symbol == last else None)
    assert (execution.outcome, execution.reason) == (Outcome.NOTHING, no)
    assert venue.sent == []
    assert len([event for event in ledger.events if isinstance(event, Intended)]) == 3


async def test_a_leg_that_cannot_be_proven_is_stuck_and_nothing_is_brought_back():
    """A1, A8: all other legs are proven and on record, the funds stay reserved, and no further order is sent."""

    class Lost(Venue):
        order_expiry_ns = None

        async def look_up(self, client_id, symbol, /):
            return NotFound(client_id, symbol)

    venue = Lost(answers={"l2a0": UNKNOWN})
    execution, ledger = await run(venue)
    assert execution.outcome is Outcome.STUCK
    assert [leg.outcome for leg in execution.legs] == [
        OrderOutcome.FILLED,
        None,
        OrderOutcome.FILLED,
    ]
    assert len(venue.sent) == 3
    assert ledger.portfolio().stuck == (1,)
    assert ledger.portfolio().reserved == given_by(PLAN)


async def test_a_gateway_that_refuses_to_trade_is_an_error_after_all_is_proven():
    """TradingRefused comes out of the executor once the execution has ended."""
    refusal = TradingRefused("this gateway only reads", code="gateway.read_only")
    venue = Venue(answers=dict.fromkeys(["l1a0", "l2a0", "l3a0"], refusal))
    with pytest.raises(TradingRefused, match="only reads"):
        await run(venue)
    assert len(venue.sent) == 3


def test_an_amount_that_makes_no_sense_is_told():
    """What may be given is an exact amount of zero or more."""
    for wrong in ("much", "-1", "NaN"):
        with pytest.raises(UsageError, match="max_given of BTC"):
            ParallelExecutor(max_given={"BTC": wrong})


# Rebalancing


def fill(symbol, side, amount, price, trade_id="1"):
    base, quote = symbol.split("/")
    return Fill(trade_id, "c", symbol, base, quote, side, D(price), D(amount), {})


def test_an_imbalance_is_worth_what_the_plan_says():
    """E18: at the plan's prices a missing leg changes nothing but the fees; a worse price is a loss at once."""
    one, two, three = PLAN.legs
    as_planned = [
        fill(leg.market.symbol, leg.side, leg.amount, leg.limit_price, str(n))
        for n, leg in enumerate((one, two, three))
    ]
    whole = imbalance(PLAN, as_planned)
    assert whole.loss == imbalance(PLAN, [*as_planned[:1], *as_planned[2:]]).loss
    assert imbalance(PLAN, as_planned[:1]).long("USDT") == ["BTC"]
    assert imbalance(PLAN, as_planned[1:2]).short("USDT") == ["BTC"]
    dear = fill(one.market.symbol, one.side, "1", "103")
    assert imbalance(PLAN, [dear]).loss == 103 - Fraction(whole.worth["BTC"])


def test_an_asset_on_the_way_is_worth_what_was_given_for_it():
    """E18: what is bought of an asset outside of the plan, on the way to another, is neither gain nor loss before it is sold."""
    way = fill("BTC/EUR", Side.SELL, "1", "90")
    now = imbalance(PLAN, [fill("BTC/USDT", Side.BUY, "1", "100"), way])
    assert now.long("USDT") == ["EUR"]
    assert now.loss == imbalance(PLAN, [fill("BTC/USDT", Side.BUY, "1", "100")]).loss


def test_what_is_short_is_bought_with_what_costs_least():
    """A7: leg 2 is missing, so that BTC is long and ETH short: one buys the other, and only where it cannot does the start."""
    fills = [
        fill("BTC/USDT", Side.BUY, "1", "100"),
        fill("ETH/USDT", Side.SELL, "20", "5.05", "2"),
    ]
    now = imbalance(PLAN, fills)
    turn = next_turn(PLAN, now, books(), VIEW, Unwinding())
    assert (turn.market.symbol, turn.side) == ("ETH/BTC", Side.BUY)
    assert turn.amount <= D("20.0201")
    assert turn.amount * D("0.999") <= 20 + D("0.001")
    alone = imbalance(PLAN, fills[1:])
    shown = books(ETHBTC=0)
    turn = next_turn(PLAN, alone, shown, fresh_view(PLAN, VIEW, shown), Unwinding())
    assert (turn.market.symbol, turn.side) == ("ETH/USDT", Side.BUY)


def test_the_budget_bounds_what_bringing_back_may_lose():
    """I7: no trade that would make the loss larger than the budget; it is waited for, and told."""
    now = imbalance(PLAN, [fill("BTC/USDT", Side.BUY, "1", "100")])
    fallen = books()
    fallen["BTC/USDT"] = OrderBook("BTC/USDT", (Level(D(90), D(5)),), (Level(D(91), D(5)),), 0)
    fallen["ETH/BTC"] = books(ETHBTC=0)["ETH/BTC"]
    turn = next_turn(PLAN, now, fallen, fresh_view(PLAN, VIEW, fallen), Unwinding())
    assert turn.code == "unwind.budget"
    assert next_turn(PLAN, now, books(), VIEW, Unwinding("hold")).code == "unwind.hold"
    assert next_turn(PLAN, imbalance(PLAN, []), books(), VIEW, Unwinding()).code == "unwind.done"


# Reservations


AMOUNTS = st.dictionaries(
    st.sampled_from(["USDT", "BTC", "ETH"]), st.integers(0, 6).map(D), max_size=3
)


@given(st.lists(st.tuples(st.booleans(), AMOUNTS, st.integers(0, 5)), max_size=20))
def test_no_unit_is_ever_reserved_twice(steps):
    """I6: whatever starts and ends, what is reserved of an asset is never more than there is, and is released just once."""
    accounts = Accounts()
    accounts.apply(BalancesSet(0, {"USDT": D(10), "BTC": D(8), "ETH": D(9)}, "opening"))
    open_ = {}
    for starts, amounts, which in steps:
        portfolio = accounts.state.portfolio
        if starts:
            number = portfolio.started + 1
            event = ExecutionStarted(0, number, PLAN, amounts)
            free = all(amount <= portfolio.free(asset) for asset, amount in amounts.items())
            if not amounts:
                continue  # reserves what leg 1 gives, as a SequentialExecutor's
            if free:
                accounts.apply(event)
                open_[number] = amounts
            else:
                with pytest.raises(LedgerError, match="cannot reserve"):
                    accounts.apply(event)
        elif open_:
            number = sorted(open_)[which % len(open_)]
            del open_[number]
            ended = ExecutionEnded(0, Execution(number, PLAN, (), Outcome.NOTHING, {}, {}, 0, 0))
            accounts.apply(ended)
            with pytest.raises(LedgerError, match="not running"):
                accounts.apply(ended)
        reserved = accounts.state.portfolio.reserved
        for asset in ("USDT", "BTC", "ETH"):
            total = sum((held.get(asset, D(0)) for held in open_.values()), D(0))
            assert reserved.get(asset, D(0)) == total
            assert accounts.state.portfolio.free(asset) >= 0
