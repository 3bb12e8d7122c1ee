"""Recovery's report, balances that differ, and the ways out that a person has."""

from decimal import Decimal

import pytest

from triarb.clock import ManualClock
from triarb.exceptions import GatewayUnavailable, LedgerError, UsageError
from triarb.execution import recover
from triarb.execution.resolving import flow, resolution, resolve
from triarb.ledger import SqlLedger
from triarb.market import FeeSchedule, RateTable
from triarb.model import (
    Answered,
    Balance,
    BalancesSet,
    ExecutionStarted,
    Fill,
    Filled,
    Halted,
    Intended,
    Market,
    NotFound,
    Order,
    OrderOutcome,
    OrderState,
    OrderStatus,
    Outcome,
    Proven,
    Purpose,
    Side,
    Submission,
    SubmissionStatus,
)
from triarb.testing.execution import _plan
from triarb.testing.market import planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
ORDER = Order("triabcdn1l1a0", "BTC/USDT", Side.BUY, D("1"), D("100.00"))


class Silent:
    """An exchange that knows no order, answers no question about one, and holds what a test says."""

    order_expiry_ns = None

    def __init__(self, **held):
        self.held, self.reads, self.events = {a: D(n) for a, n in held.items()}, 0, []

    async def markets(self):
        raise GatewayUnavailable("no markets", code="x")

    async def order_book(self, symbol, /):
        raise GatewayUnavailable("no book", code="x")

    async def submit(self, order, /):
        return Submission(SubmissionStatus.REJECTED, reason="closed")

    async def look_up(self, client_id, symbol, /):
        return NotFound(client_id, symbol)

    async def cancel(self, client_id, symbol, /):
        return NotFound(client_id, symbol)

    async def balances(self):
        self.reads += 1
        return {asset: Balance(amount) for asset, amount in self.held.items()}


async def recovered(ledger, gateway, epoch="next"):
    return await recover(
        ledger, gateway, ManualClock(10**9), epoch=epoch, emit=gateway.events.append
    )


@pytest.fixture
async def ledger():
    """One that holds 1000 USDT."""
    async with SqlLedger("sqlite://") as opened:
        await opened.append(BalancesSet(0, {"USDT": D(1000)}, "opening"))
        yield opened


async def cut_off(ledger, *events):
    """Let an execution be cut off after its first intent and `events`."""
    await ledger.append(ExecutionStarted(0, 1, PLAN))
    await ledger.append(Intended(0, 1, 1, ORDER, purpose=Purpose.OPEN))
    for event in events:
        await ledger.append(event)


# Balances


async def test_a_first_start_takes_the_balances_as_its_opening():
    """An empty ledger opens with what the exchange holds."""
    async with SqlLedger("sqlite://") as empty:
        found = await recovered(empty, Silent(USDT=5))
        assert dict(empty.portfolio().balances) == {"USDT": 5}
        [event] = empty.events()
    assert event.reason == "opening"
    assert (found.missing, found.opened) == ({}, True)
    assert str(found) == "USDT: the ledger opens with 5"


async def test_what_is_there_beyond_the_ledger_is_told_and_never_adopted(ledger):
    """B6: a deposit that nobody told of is told once per asset, and stays its owner's until a flow books it."""
    found = await recovered(ledger, Silent(USDT=1000, BTC=2))
    assert found.drift == {"BTC": D(2)}
    assert str(found) == "BTC: 2 came to the exchange; it is not the ledger's"
    assert dict(ledger.portfolio().balances) == {"USDT": 1000}
    assert dict(ledger.portfolio().beyond) == {"BTC": 2}
    assert str(await recovered(ledger, Silent(USDT=1000, BTC=2))) == "nothing to recover"


async def test_what_is_missing_halts_until_it_is_explained(ledger):
    """B6, I3: less than the ledger halts durably, once, and not any more once a flow explains it."""
    gateway = Silent(USDT=900)
    found = await recovered(ledger, gateway)
    assert found.missing == {"USDT": D(100)}
    assert gateway.reads == 3  # balances may lag behind fills
    assert ledger.portfolio().halted == "the exchange holds 100 USDT less than the ledger"
    assert [type(event) for event in gateway.events] == [Halted]
    before = list(ledger.events())
    await recovered(ledger, gateway)
    assert list(ledger.events()) == before
    await flow(ledger, "USDT", D(-100), 5, "withdrawn to the bank")
    assert (await recovered(ledger, gateway)).drift == {}
    assert list(ledger.events())[-1].reason == "flow: withdrawn to the bank"


async def test_balances_that_only_lag_halt_nothing(ledger):
    """A12, B6, B5: a balance that is short when it is first read, and then is not, is no drift."""
    gateway = Silent(USDT=900)
    balances = gateway.balances

    async def catching_up():
        told = await balances()
        gateway.held["USDT"] = D(1000)
        return told

    gateway.balances = catching_up
    assert (await recovered(ledger, gateway)).drift == {}
    assert ledger.portfolio().halted is None


@pytest.mark.parametrize(("amount", "note"), [("0", "x"), ("1", " ")])
async def test_a_flow_of_nothing_or_without_a_note_is_refused(ledger, amount, note):
    """A flow says how much, and what it was."""
    with pytest.raises(UsageError, match="flow"):
        await flow(ledger, "USDT", D(amount), 0, note)


# Stuck, and out of it


async def test_an_order_that_can_not_be_proven_is_stuck_and_its_assets_are_left_alone(ledger):
    """A8, I3: STUCK is durable, told with its reason, and drift in its assets neither halts nor is booked."""
    await cut_off(ledger)
    gateway = Silent(USDT=900, BTC=1)
    found = await recovered(ledger, gateway)
    assert found.stuck == {ORDER.client_id: "it is not found"}
    assert f"order {ORDER.client_id}: not proven, it is not found" in str(found)
    assert "execution 1: ended stuck" in str(found)
    portfolio = ledger.portfolio()
    assert (portfolio.stuck, portfolio.halted) == ((1,), None)
    assert dict(portfolio.balances) == {"USDT": 1000}
    before = list(ledger.events())
    again = await recovered(ledger, gateway)
    assert again.stuck == found.stuck
    assert list(ledger.events()) == before


async def test_the_assets_of_every_order_that_is_not_proven_are_left_alone(ledger):
    """A8, B6: of two executions that are stuck, neither's assets count as missing; those of no such order do."""
    await ledger.append(BalancesSet(0, {"ETH": D(9), "XMR": D(4)}, "flow: x"))
    await cut_off(ledger)
    other = Order("triabcdn2l1a0", "ETH/BTC", Side.BUY, D(1), D("0.05"))
    await ledger.append(ExecutionStarted(0, 2, PLAN, {"BTC": D(0)}), Intended(0, 2, 2, other))
    found = await recovered(ledger, Silent(USDT=900, ETH=8, XMR=1))
    assert set(found.stuck) == {ORDER.client_id, other.client_id}
    assert found.missing == {"XMR": D(3)}


async def test_never_by_hand_ends_it(ledger):
    """A8: a person's word that the exchange never had the order, with evidence, is journalled and ends the execution."""
    await cut_off(ledger)
    await recovered(ledger, Silent(USDT=1000))
    await resolve(ledger, ORDER.client_id, 7, never=True, evidence="support ticket 5")
    word = list(ledger.events())[-1]
    assert (word.outcome, word.by_hand, word.evidence) == (
        OrderOutcome.NEVER,
        True,
        "support ticket 5",
    )
    found = await recovered(ledger, Silent(USDT=1000))
    assert [end.outcome for end in found.ended] == [Outcome.NOTHING]
    assert (ledger.portfolio().stuck, dict(ledger.portfolio().reserved)) == ((), {})


async def test_filled_by_hand_ends_it_with_what_it_brought(ledger):
    """A8, I4: a person's word on what was filled is booked with its price and fee, and the balances then agree."""
    await cut_off(ledger)
    await recovered(ledger, Silent(USDT=1000))
    fees = {"BTC": D("0.0005")}
    await resolve(
        ledger, ORDER.client_id, 7, filled=D("0.5"), price=D(99), fees=fees, evidence="the web page"
    )
    gateway = Silent(USDT="950.5", BTC="0.4995")
    found = await recovered(ledger, gateway)
    [end] = found.ended
    assert end.outcome is Outcome.SHORT  # the exchange takes no order to turn it back
    assert end.legs[0].outcome is OrderOutcome.PARTIAL
    assert end.residues == {"BTC": D("0.4995")}
    assert found.drift == {}


async def test_fills_on_record_count_towards_what_is_told_by_hand(ledger):
    """A10: what is on record is not booked twice: only the rest is."""
    known = Fill(
        "1", ORDER.client_id, "BTC/USDT", "BTC", "USDT", Side.BUY, D(99), D("0.2"), {"BTC": D(0)}
    )
    await cut_off(ledger, Filled(0, 1, known))
    events = resolution(
        ledger.unfinished(),
        ORDER.client_id,
        7,
        filled=D(1),
        price=D(100),
        fees={},
        evidence="seen",
    )
    assert events[0].fill.amount == D("0.8")
    assert events[1].outcome is OrderOutcome.FILLED
    [alone] = resolution(ledger.unfinished(), ORDER.client_id, 7, filled=D("0.2"), evidence="seen")
    assert alone.outcome is OrderOutcome.PARTIAL
    nothing = {"evidence": "seen", "never": True}
    with pytest.raises(UsageError, match="on record"):
        resolution(ledger.unfinished(), ORDER.client_id, 7, **nothing)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ({"client_id": "other", "never": True, "evidence": "x"}, "no open order"),
        ({"never": True, "evidence": " "}, "evidence"),
        ({"evidence": "x"}, "never was"),
        ({"never": True, "filled": D(1), "evidence": "x"}, "never was"),
        ({"filled": D(2), "evidence": "x"}, "cannot be"),
        ({"filled": D(-1), "evidence": "x"}, "cannot be"),
        ({"filled": D(1), "evidence": "x"}, "price"),
        ({"filled": D(1), "price": D(0), "fees": {}, "evidence": "x"}, "price"),
        ({"filled": D(1), "price": D(1), "evidence": "x"}, "fees"),
    ],
)
async def test_a_word_that_cannot_be_true_is_refused(ledger, word, said):
    """B9: each nonsense about an order is one clear error, and nothing is written."""
    await cut_off(ledger)
    before = list(ledger.events())
    with pytest.raises(UsageError, match=said):
        await resolve(ledger, **{"client_id": ORDER.client_id, "now_ns": 0, **word})
    assert list(ledger.events()) == before


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ({"client_id": "other", "never": True}, f"open are: {ORDER.client_id}"),
        ({"never": True, "evidence": " "}, "say how you know"),
        ({}, "say one of never and filled"),
        ({"filled": D(2)}, "give base units, those on record included"),
        (
            {"filled": D(1)},
            "give the average price, and the fees by asset; 0 of one where there were none",
        ),
    ],
)
async def test_a_refused_word_tells_what_would_do(ledger, word, hint):
    """B9: each refusal of a person's word ends with what can be said instead."""
    await cut_off(ledger)
    told = {"client_id": ORDER.client_id, "now_ns": 0, "evidence": "x", **word}
    with pytest.raises(UsageError) as caught:
        await resolve(ledger, **told)
    assert caught.value.hint == hint


async def test_a_word_of_nothing_filled_is_an_expiry_and_any_price_above_zero_is_one(ledger):
    """A8: filled with 0 is an order that expired, never one that never was; half a unit of quote is a price."""
    await cut_off(ledger)
    known = ledger.unfinished()
    [expired] = resolution(known, ORDER.client_id, 7, filled=D(0), evidence="seen")
    assert expired.outcome is OrderOutcome.EXPIRED
    told = {"filled": D("0.5"), "price": D("0.5"), "fees": {}, "evidence": "seen"}
    fill, part = resolution(known, ORDER.client_id, 7, **told)
    assert (fill.fill.price, part.outcome) == (D("0.5"), OrderOutcome.PARTIAL)


async def test_a_ledger_without_open_orders_says_so(ledger):
    """B9: where nothing is open, the refusal names none; a flow of nothing says what to give."""
    with pytest.raises(UsageError) as caught:
        await resolve(ledger, "other", 0, never=True, evidence="x")
    assert caught.value.hint == "open are: none"
    with pytest.raises(UsageError) as caught:
        await flow(ledger, "USDT", D(0), 0, "x")
    assert caught.value.hint == "give an amount, and a note that says what it was"


async def test_an_execution_cut_off_before_its_first_order_is_nothing(ledger):
    """E1: a crash between the start and the first intent ends as NOTHING; leg 1 is not begun so much later."""
    await ledger.append(ExecutionStarted(0, 1, PLAN))
    [end] = (await recovered(ledger, Silent(USDT=1000))).ended
    assert end.outcome is Outcome.NOTHING
    assert str(end.reason) == "cycle.cut_off: it was cut off before its first order"


async def test_a_rejection_on_record_needs_no_look_up(ledger):
    """E1: an order whose rejection is on record is proven by it, also where nothing is told any more."""
    await cut_off(ledger, Answered(0, 1, ORDER.client_id, SubmissionStatus.REJECTED, "-2010"))
    found = await recovered(ledger, Silent(USDT=1000))
    assert found.proven == {ORDER.client_id: OrderOutcome.REJECTED}
    assert [end.outcome for end in found.ended] == [Outcome.NOTHING]


# What a ledger takes


async def test_an_id_is_intended_once_and_an_order_proven_once(ledger):
    """I2: a ledger refuses a second intent of one id, and a proof of an order that is not open."""
    await cut_off(ledger)
    with pytest.raises(LedgerError, match="intended already"):
        await ledger.append(Intended(0, 1, 1, ORDER))
    proven = Proven(0, 1, ORDER.client_id, OrderOutcome.NEVER)
    await ledger.append(proven)
    with pytest.raises(LedgerError, match="no open order"):
        await ledger.append(proven)


@pytest.mark.parametrize(
    "answer",
    [
        {"filled": D("NaN"), "price": D(99), "fees": {}},
        {"filled": 0.5, "price": D(99), "fees": {}},
        {"filled": D("0.5"), "price": D("Infinity"), "fees": {}},
        {"filled": D("0.5"), "price": D("100.01"), "fees": {}},
        {"filled": D("0.5"), "price": D(99), "fees": {"BTC": 0.1}},
        {"never": True, "evidence": None},
    ],
    ids=repr,
)
async def test_a_word_that_cannot_be_true_or_read_is_refused(ledger, answer):
    """B7, B9: of a person too: no float, nothing that is no number, and no price beyond the order's limit."""
    await ledger.append(ExecutionStarted(0, 1, PLAN))
    await ledger.append(Intended(0, 1, 1, ORDER))
    with pytest.raises(UsageError):
        await resolve(ledger, ORDER.client_id, 5, **{"evidence": "order history", **answer})
    assert ledger.unfinished()[0].intents[0].outcome is None


@pytest.mark.parametrize("amount", [D("NaN"), D("-Infinity"), 1.5, "much", True])
async def test_a_flow_of_no_exact_number_is_refused(ledger, amount):
    """B7, B9: one clear error, and nothing is booked."""
    with pytest.raises(UsageError):
        await flow(ledger, "USDT", amount, 5, "note")
    with pytest.raises(UsageError):
        await flow(ledger, "USDT", D(1), 5, None)
    assert ledger.portfolio().balances == {"USDT": 1000}


@pytest.mark.parametrize("told", [True, False], ids=["the exchange's", "by its symbol"])
async def test_an_order_beyond_the_plan_is_proven_on_its_own_market(ledger, told):
    """A9, I3: an unwinding order of a market that no leg trades, by what the exchange says of it, or by its symbol alone."""
    order = Order("triabcdn1l4a0", "XRP/EUR", Side.BUY, D(10), D(2))
    fill = Fill("9", order.client_id, "XRP/EUR", "XRP", "EUR", Side.BUY, D(2), D(10), {"XRP": D(0)})
    await cut_off(ledger, Proven(0, 1, ORDER.client_id, OrderOutcome.EXPIRED, "nothing"))
    await ledger.append(Intended(0, 1, 4, order, purpose=Purpose.UNWIND))

    class Telling(Silent):
        async def markets(self):
            if not told:
                raise GatewayUnavailable("no markets", code="x")
            return [Market("XRP/EUR", "XRP", "EUR")]

        async def fees(self, symbols=None, /):
            return FeeSchedule.flat("10")

        async def look_up(self, client_id, symbol, /):
            assert (client_id, symbol) == (order.client_id, order.symbol)
            return OrderState(client_id, symbol, OrderStatus.FILLED, D(10), D(10), (fill,))

    found = await recovered(ledger, Telling(USDT=1000, XRP=10, EUR=-20))
    assert found.proven == {order.client_id: OrderOutcome.FILLED}
    [end] = found.ended
    assert [result.outcome for result in end.further] == [OrderOutcome.FILLED]
    assert end.residues == {"XRP": 10, "EUR": -20}
