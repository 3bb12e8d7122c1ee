"""Unwinding: what is stranded comes back by the best way, within its budget, or stays on record."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, strategies as st

from triarb.clock import ManualClock
from triarb.exceptions import GatewayUnavailable, UsageError
from triarb.execution import (
    ExecutionContext,
    ParallelExecutor,
    SequentialExecutor,
    Unwinding,
)
from triarb.execution.unwinding import Way, fresh_view, next_trade, off_course, stranded
from triarb.ledger import SqlLedger
from triarb.market import RateTable
from triarb.model import (
    BalancesSet,
    Fill,
    Intended,
    Level,
    OrderBook,
    OrderOutcome,
    Outcome,
    Purpose,
    Refused,
    Side,
    Submission,
    SubmissionStatus,
    TimeInForce,
)
from triarb.money import round_down
from triarb.simulation import MatchingEngine
from triarb.testing.execution import _plan
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
RATES = RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes)
VIEW = RATES.view()
PLAN = _plan(RATES)
BOOKS = {quote.symbol: OrderBook.from_quote(quote) for quote in SNAPSHOT.quotes}
TICKS = {market.symbol: market.price_tick for market in SNAPSHOT.markets}
REJECTED = Submission(SubmissionStatus.REJECTED, reason="-1013")


def book(symbol, bid="0", ask="0", size="50"):
    sides = [(Level(D(price), D(size)),) if D(price) else () for price in (bid, ask)]
    return OrderBook(symbol, *sides, START_NS)


def bought(symbol, base, quote, amount, price, side=Side.BUY, fees=None, trade_id="1"):
    return Fill(trade_id, "c", symbol, base, quote, side, D(price), D(amount), fees or {})


BTC = bought("BTC/USDT", "BTC", "USDT", "1", "100", fees={"BTC": D("0.001")})


# What is held, and what it cost


def test_cost_follows_what_it_was_paid_for():
    """B1, E18: a position costs what was paid for it, its fee included; what is sold on takes its part of that along."""
    now = stranded("USDT", [BTC])
    assert [(p.asset, p.amount, p.cost) for p in now.positions] == [("BTC", D("0.999"), 100)]
    half = bought("ETH/BTC", "ETH", "BTC", "9.99", "0.05", trade_id="2")  # 0.4995 BTC
    now = stranded("USDT", [BTC, half])
    assert {p.asset: p.cost for p in now.positions} == {"BTC": 50, "ETH": 50}
    back = bought("ETH/USDT", "ETH", "USDT", "9.99", "6", Side.SELL, trade_id="3")
    now = stranded("USDT", [BTC, half, back])
    assert [(p.asset, p.cost) for p in now.positions] == [("BTC", 50)]
    assert now.lost == 50 - Fraction("59.94")


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=6))
def test_cost_is_conserved(parts):
    """I4, E18: whatever is traded, what was paid is what is held at its cost, and what came back less what was lost."""
    fills, paid, back, held = [], Fraction(0), Fraction(0), D(0)
    for n, (buys, sells) in enumerate(parts):
        fills.append(bought("BTC/USDT", "BTC", "USDT", buys, "100", trade_id=f"b{n}"))
        paid, held = paid + 100 * buys, held + buys
        amount = min(held, D(sells))
        fills.append(bought("BTC/USDT", "BTC", "USDT", amount, "99", Side.SELL, trade_id=f"s{n}"))
        back, held = back + 99 * Fraction(amount), held - amount
    now = stranded("USDT", fills)
    assert now.held("BTC") == held
    assert sum(p.cost for p in now.positions) + back + now.lost == paid


# Which way back


def trade(books, policy=None, fills=(BTC,)):
    books = {**BOOKS, **{b.symbol: b for b in books}}
    view = fresh_view(PLAN, VIEW, books)
    return next_trade(PLAN, stranded("USDT", fills), books, view, policy or Unwinding())


def test_the_cheapest_way_is_forward_back_or_another():
    """A7: of all routes the one that brings most is taken, forward while the cycle pays, and back once it does not."""
    assert trade([]).market.symbol == "ETH/BTC"
    gone = book("ETH/BTC", "0.0499", "0.0600")
    back = trade([gone])
    assert (back.market.symbol, back.side, back.limit_price) == ("BTC/USDT", Side.SELL, D("99.90"))


def test_forward_stays_on_the_plans_markets():
    """A7: the policy forward never goes back, and pays what the budget allows."""
    policy = Unwinding("forward", loss_factor=D(100))
    first = trade([book("ETH/BTC", "0.0499", "0.0600")], policy)
    assert (first.market.symbol, first.limit_price) == ("ETH/BTC", D("0.0600"))


def test_hold_never_trades():
    """A7: the policy hold leaves what is stranded to a person."""
    held = trade([], Unwinding(way=Way.HOLD))
    assert str(held) == "unwind.hold: what is stranded is held, as the policy says"


def test_the_budget_bounds_the_loss():
    """I7: a way back that would lose more than the plan's stated loss is not taken, unless the budget is larger."""
    books = [book("ETH/BTC"), book("BTC/USDT", "90", "91")]
    refused = trade(books)
    assert refused.code == "unwind.budget"
    assert refused.numbers["loss"] > refused.numbers["budget"] == PLAN.max_loss
    assert trade(books, Unwinding(loss_factor=D(10))).market.symbol == "BTC/USDT"


def test_the_budget_counts_what_was_lost_before():
    """I7: a trade that alone would lose little is not taken where earlier ones have used the budget up."""
    books = [book("ETH/BTC"), book("BTC/USDT", "99.9", "100")]
    assert trade(books).market.symbol == "BTC/USDT"
    cheap = bought("ETH/USDT", "ETH", "USDT", "1", "5", trade_id="2")
    sold = bought("ETH/USDT", "ETH", "USDT", "1", "1", Side.SELL, trade_id="3")
    assert Unwinding().budget(PLAN) < 4
    assert trade(books, fills=[BTC, cheap, sold]).code == "unwind.budget"


def test_a_position_without_a_way_does_not_hold_up_another():
    """A7: where the dearest position has no route the next is turned back; a reason that time can mend is told first."""
    eth = bought("ETH/USDT", "ETH", "USDT", "8", "5", trade_id="2")
    no_btc = [book("BTC/USDT"), book("ETH/BTC")]
    assert trade(no_btc, fills=[BTC, eth]).market.symbol == "ETH/USDT"
    tiny = bought("BTC/USDT", "BTC", "USDT", "0.00001", "9000000")
    fallen = [book("ETH/USDT", "1", "2"), book("ETH/BTC")]
    refused = trade(fallen, fills=[tiny, eth])
    assert refused.code == "unwind.budget"
    assert refused.numbers.keys() == {"asset", "loss", "budget"}
    assert refused.numbers["asset"] == "ETH"
    assert refused.sentence.startswith("turning 8 ETH back now would make the loss 32.")


def test_dust_is_no_order():
    """B4: what no market takes any more is refused with the reason, and is no order."""
    tiny = bought("BTC/USDT", "BTC", "USDT", "0.00001", "100")
    assert trade([], fills=[tiny]).code == "route.below_minimum"
    assert str(trade([], fills=[])) == "unwind.done: nothing is stranded"


# Keeping to the plan


def check_course(books, amount="19.98", policy=None, plan=PLAN):
    books = {**BOOKS, **{b.symbol: b for b in books}}
    view = fresh_view(plan, VIEW, books)
    now = stranded("USDT", [BTC])
    return off_course(plan, 1, D(amount), now, books=books, view=view, policy=policy or Unwinding())


def test_a_plan_that_still_holds_is_kept():
    """C10: where the books that are read again before a leg still carry the plan, it is gone on with."""
    assert check_course([]) is None


@pytest.mark.parametrize(
    ("books", "code"),
    [
        ([book("ETH/BTC", "0.0499", "0.0501")], "leg.price_gone"),
        ([book("ETH/BTC", "0.0499")], "leg.price_gone"),
        ([book("ETH/USDT", "4.00", "4.10")], "leg.better_way"),
        ([book("ETH/USDT"), book("BTC/USDT")], "route.none"),
    ],
)
def test_a_plan_that_no_longer_holds_is_left(books, code):
    """C10, A7: a leg is not sent into a book that has gone, nor onto a way that has become the worse one."""
    assert check_course(books).code == code


def test_a_leg_that_fills_whole_needs_all_of_it():
    """A5: a fill-or-kill leg is not sent where less than all of it is shown; one that may fill in part is."""
    thin = book("ETH/BTC", "0.0499", "0.0500", "10")
    assert check_course([thin]) is None
    legs = list(PLAN.legs)
    legs[1] = attrs.evolve(legs[1], time_in_force=TimeInForce.FOK)
    plan = attrs.evolve(PLAN, legs=tuple(legs))
    assert check_course([thin], plan=plan).code == "leg.price_gone"


def test_the_policies_forward_and_hold_only_look_at_the_price():
    """A7: without another way to go, a leg within its limit is sent."""
    worse = [book("ETH/USDT", "4.00", "4.10")]
    assert check_course(worse, policy=Unwinding("forward")) is None
    assert check_course([book("ETH/BTC")], policy=Unwinding("hold")) is None


def test_a_missing_book_keeps_to_the_plan():
    """A leg whose books cannot be read is sent all the same: its limit bounds it."""
    view = fresh_view(PLAN, VIEW, BOOKS)
    now = stranded("USDT", [BTC])
    assert off_course(PLAN, 1, D(1), now, books={}, view=view, policy=Unwinding()) is None


# Carried out


class Account:
    """A simulated account whose market changes, or refuses, as orders are sent."""

    order_expiry_ns = 0

    def __init__(self, **on):
        self.engine = MatchingEngine(
            SNAPSHOT.markets, SNAPSHOT.fees(), balances={"USDT": D(1000), "ETH": D(7)}
        )
        self.clock, self.on, self.sent = ManualClock(START_NS), on, []
        for shown in BOOKS.values():
            self.engine.set_book(shown)

    async def order_book(self, symbol, /):
        shown = self.engine.book(symbol)
        if shown is None:
            raise GatewayUnavailable("no book", code="x")
        return shown

    async def balances(self):
        return self.engine.balances

    async def look_up(self, client_id, symbol, /):
        return self.engine.look_up(client_id, symbol)

    async def cancel(self, client_id, symbol, /):
        return self.engine.cancel(client_id, symbol, 0)

    async def submit(self, order, /):
        self.sent.append(order)
        what = self.on.get(f"at_{len(self.sent)}")
        if what is not None:
            answer = what(self.engine)
            if isinstance(answer, Submission):
                return answer
        state = self.engine.submit(order, 0)
        if isinstance(state, Refused):
            return Submission(SubmissionStatus.REJECTED, reason=str(state))
        return Submission(SubmissionStatus.ACCEPTED, state)


async def carried_out(account, *, gate=lambda _order, _purpose: None, **settings):
    """The execution of the plan, and the ledger's events; ledger and account agree."""
    async with SqlLedger("sqlite://") as ledger:
        await ledger.append(BalancesSet(0, {"USDT": D(1000), "ETH": D(7)}, "opening"))
        context = ExecutionContext(
            account,
            account.order_book,
            VIEW,
            ledger,
            account.clock,
            gate,
            lambda _event: None,
            "abcd",
            1,
        )
        execution = await SequentialExecutor(**settings).execute(PLAN, context)
        held = {asset: balance.total for asset, balance in account.engine.balances.items()}
        assert dict(ledger.portfolio().balances) == held, "I4"
        assert not ledger.portfolio().reserved, "I6"
        assert not ledger.unfinished()
        return execution, list(ledger.events())


def shows(*books):
    """Lets the market show other books."""

    def change(engine):
        for shown in books:
            engine.set_book(shown)

    return change


async def test_a_rejected_leg_is_retried_under_another_id():
    """A7, B5: a leg that was rejected once is tried again under another id, and the cycle comes home."""
    account = Account(at_2=lambda _engine: REJECTED)
    execution, events = await carried_out(account)
    assert execution.outcome is Outcome.UNWOUND
    assert execution.result > 0
    assert [o.client_id for o in account.sent] == [f"triabcdn1l{n}a0" for n in (1, 2, 4, 5)]
    purposes = [event.purpose for event in events if isinstance(event, Intended)]
    assert purposes == [Purpose.OPEN, Purpose.CLOSE, Purpose.UNWIND, Purpose.UNWIND]


async def test_a_market_that_rejects_again_is_left():
    """A7: after a second rejection another way is taken, back over leg 1's market, within the stated loss."""
    refuse = {f"at_{n}": lambda _engine: REJECTED for n in (2, 3)}
    execution, _ = await carried_out(Account(**refuse))
    assert execution.outcome is Outcome.UNWOUND
    assert [result.order.symbol for result in execution.further] == ["ETH/BTC", "BTC/USDT"]
    assert 0 < -execution.result <= PLAN.max_loss


async def test_when_every_order_is_rejected_the_rest_is_on_record():
    """A8: where nothing is taken any more, the execution ends SHORT, and what it holds is in the residues."""
    refuse = {f"at_{n}": lambda _engine: REJECTED for n in range(2, 20)}
    account = Account(**refuse)
    execution, _ = await carried_out(account)
    assert execution.outcome is Outcome.SHORT
    assert execution.residues == {"BTC": D("0.99900")}
    assert len(account.sent) <= 3 + Unwinding().max_orders


async def test_a_market_that_fell_too_far_is_waited_for_and_then_held():
    """I7, I9: beyond its budget nothing is sold; after the cycle's deadline it ends with what it holds on record."""
    account = Account(at_1=shows(book("ETH/BTC"), book("BTC/USDT", "80", "100")))
    execution, _ = await carried_out(account, cycle_seconds=20)
    assert execution.outcome is Outcome.SHORT
    assert len(account.sent) == 1
    assert execution.residues["BTC"] > 0
    assert execution.ended_ns - execution.started_ns < 22 * 10**9


async def test_a_price_that_comes_back_is_taken():
    """A7: what could not be turned back within its budget is, once the price is back."""
    account = Account(at_1=shows(book("ETH/BTC"), book("BTC/USDT", "80", "100")))
    account.clock.on_advance.append(
        lambda now: (
            account.engine.set_book(book("BTC/USDT", "99.9", "100"))
            if now > START_NS + 5 * 10**9
            else None
        )
    )
    execution, _ = await carried_out(account)
    assert execution.outcome is Outcome.UNWOUND
    assert execution.residues == {}


async def test_hold_ends_with_the_residue():
    """A7: the policy hold sends nothing beyond the plan."""
    account = Account(at_1=shows(book("ETH/BTC", "0.05", "0.06")))
    execution, _ = await carried_out(account, unwinding=Unwinding("hold"))
    assert execution.outcome is Outcome.SHORT
    assert len(account.sent) == 2  # the plan's own leg, which found nothing
    assert execution.legs[1].outcome is OrderOutcome.EXPIRED


async def test_a_gate_that_breaks_lets_nothing_pass():
    """E10, I8: an exception in the gate is a refusal."""

    def broken(_order, _purpose):
        raise ZeroDivisionError

    account = Account()
    execution, _ = await carried_out(account, gate=broken)
    assert execution.outcome is Outcome.NOTHING
    assert execution.reason.code == "gate.broken"
    assert account.sent == []


@pytest.mark.once
@given(st.data())
async def test_any_market_leaves_ledger_and_account_equal(data):
    """I4, I7, I10: whatever the books become between orders, both agree, and no more is lost than stated."""

    def change(engine):
        for symbol in data.draw(st.sets(st.sampled_from(sorted(BOOKS)))):
            shown, factor = BOOKS[symbol], data.draw(st.sampled_from([97, 99, 100, 101]))
            size = D(data.draw(st.sampled_from([0, 1, 3, 50])))

            def moved(levels, symbol=symbol, factor=factor, size=size):
                return tuple(
                    Level(round_down(lv.price * factor / 100, TICKS[symbol]), size) for lv in levels
                )

            book_ = attrs.evolve(shown, bids=moved(shown.bids), asks=moved(shown.asks))
            engine.set_book(book_)
        return data.draw(st.sampled_from([None, None, None, REJECTED]))

    account = Account(**{f"at_{n}": change for n in range(1, 20)})
    execution, _ = await carried_out(account, cycle_seconds=5)
    assert execution.outcome is not Outcome.STUCK
    assert len(account.sent) <= 3 + Unwinding().max_orders
    now = stranded("USDT", [f for r in (*execution.legs, *execution.further) for f in r.fills])
    assert now.lost <= Fraction(PLAN.max_loss)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "1", None, True, 10**400])
def test_times_that_make_no_sense_are_refused(seconds):
    """A deadline that is none is one clear error."""
    with pytest.raises(UsageError, match="leg_seconds"):
        SequentialExecutor(leg_seconds=seconds)


def test_an_unknown_way_is_refused():
    """A way that is none is an error at once."""
    with pytest.raises(ValueError, match="sideways"):
        Unwinding("sideways")


@pytest.mark.parametrize(
    "wrong",
    [
        {"way": None},
        {"loss_factor": 1.5},
        {"loss_factor": "much"},
        {"loss_factor": D("NaN")},
        {"loss_factor": -1},
        {"max_orders": -1},
        {"max_orders": 1.5},
        {"max_orders": True},
        {"max_legs": 0},
        {"max_legs": 9},
        {"max_legs": "3"},
    ],
    ids=repr,
)
def test_a_budget_or_a_number_that_makes_no_sense_is_refused_at_once(wrong):
    """B12: not only where the first coin is stranded, when a budget that is no number would end the execution."""
    [name] = wrong
    with pytest.raises(UsageError, match=name):
        Unwinding(**wrong)
    assert Unwinding(loss_factor="1.5").budget(PLAN) == PLAN.max_loss * D("1.5")
    with pytest.raises(UsageError, match="unwinding"):
        SequentialExecutor(unwinding="cheapest")
    with pytest.raises(UsageError, match="max_given"):
        ParallelExecutor(max_given="150 USDT")


@pytest.mark.parametrize("number", [D("NaN"), D("Infinity"), 5.05, D(0), D(-1)], ids=repr)
@pytest.mark.parametrize("leg", [1, 2])
async def test_a_book_of_no_numbers_is_none(leg, number):
    """B9: what is read between legs may hold anything; the execution ends, with what was bought on record."""
    account = Account()
    read = account.order_book

    async def broken(symbol, /):
        shown = await read(symbol)
        if len(account.sent) < leg:
            return shown
        return attrs.evolve(shown, bids=(Level(number, D(5)),), asks=(Level(D(6), number),))

    account.order_book = broken
    execution, _ = await carried_out(account, cycle_seconds=5)
    assert execution.outcome is not Outcome.STUCK
    assert len(execution.legs) >= leg
