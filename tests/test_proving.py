"""Proving an order: that it never was is believed by the balances of its two assets alone, and failures keep their words."""

from decimal import Decimal

import attrs
import pytest

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayUnavailable
from triarb.execution.machine import begin, found, instruction, on
from triarb.execution.messages import BalancesRead, Do, Rules, Sending
from triarb.execution.proving import prove
from triarb.execution.sending import submitted
from triarb.ledger import SqlLedger
from triarb.model import (
    Balance,
    BalancesSet,
    Fill,
    Market,
    NotFound,
    Order,
    OrderOutcome,
    OrderState,
    OrderStatus,
    Side,
    Submission,
    SubmissionStatus,
)

ORDER = Order("triabcdn1l1a0", "BTC/USDT", Side.BUY, Decimal(1), Decimal(100))
RULES = Rules(2 * NS_PER_SECOND)
HELD = {"USDT": "1000", "BTC": "1"}


class Nowhere:
    """An exchange that knows no order, and holds what a test says."""

    def __init__(self, held=HELD, says=None):
        self.held, self.says = held, says

    async def look_up(self, client_id, symbol, /):
        if isinstance(self.says, Exception):
            raise self.says
        return self.says or NotFound(client_id, symbol)

    async def balances(self):
        if self.held is None:
            raise GatewayUnavailable("no balances", code="x")
        return {asset: Balance(Decimal(amount)) for asset, amount in self.held.items()}

    async def submit(self, order, /):
        return "taken"


async def proven(gateway, ledger_holds=HELD):
    """What became of the order, and what is said of it."""
    clock = ManualClock(10 * NS_PER_SECOND)
    async with SqlLedger("sqlite://") as ledger:
        held = {asset: Decimal(amount) for asset, amount in ledger_holds.items()}
        await ledger.append(BalancesSet(0, held, "opening"))
        state = begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES)
        state = await prove(on(state, Sending(), clock.now_ns()), gateway, ledger, clock)
    return state.outcome, state.reason


@pytest.mark.parametrize(
    ("exchange_holds", "ledger_holds", "outcome"),
    [
        (HELD, HELD, OrderOutcome.NEVER),
        (HELD | {"ETH": "7"}, HELD, OrderOutcome.NEVER),
        ({"USDT": "1000"}, {"USDT": "1000"}, OrderOutcome.NEVER),
        ({"BTC": "1"}, {"BTC": "1"}, OrderOutcome.NEVER),
        (HELD | {"USDT": "900"}, HELD, None),
        (HELD | {"BTC": "2"}, HELD, None),
        ({"USDT": "1000"}, HELD, None),
        ({"BTC": "1"}, HELD, None),
        (HELD, {"USDT": "1000"}, None),
        (HELD, {"BTC": "1"}, None),
    ],
)
async def test_an_order_never_was_only_where_the_balances_of_its_assets_say_so(
    exchange_holds, ledger_holds, outcome
):
    """A2: not found, time and again, is not enough: base and quote must both be what the ledger says without it."""
    assert (await proven(Nowhere(exchange_holds), ledger_holds))[0] is outcome


def test_changed_balances_begin_the_search_anew():
    """A2: whoever looks at it reads that its assets moved though it is not found, and its absence counts from zero."""
    state = on(begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES), Sending(), 0)
    for second in (2, 3, 4):
        state = on(state, NotFound("triabcdn1l1a0", "BTC/USDT"), second * NS_PER_SECOND)
    assert instruction(state, 9 * NS_PER_SECOND) is Do.READ_BALANCES
    state = on(state, BalancesRead(unchanged=False), 9 * NS_PER_SECOND)
    assert state.trouble == "it is not found, but the balances of its assets have changed"
    assert state.absent == 0


@pytest.mark.parametrize(
    ("gateway", "reason"),
    [
        (Nowhere(None), "no balances"),
        (Nowhere(says=GatewayUnavailable("no answer", code="x")), "no answer"),
        (Nowhere(says=KeyError()), "KeyError"),
        (Nowhere(says="filled"), "the gateway answered a str"),
    ],
)
async def test_what_a_gateway_fails_with_is_the_reason(gateway, reason):
    """A4, D10: a failure proves nothing, and its words, or else its kind, say why the order is stuck."""
    outcome, told = await proven(gateway)
    assert outcome is None
    assert told == reason


async def test_an_answer_that_is_none_proves_nothing():
    """A4: a gateway that answers something else than a submission leaves the order unknown, and is quoted."""
    answer = await submitted(ORDER, Nowhere())
    assert answer.status is SubmissionStatus.UNKNOWN
    assert answer.reason == "the gateway answered a str"


def test_an_order_found_in_a_journal_is_asked_for_at_once():
    """E1: recovery waits for nothing before its first look-up, whatever was answered before, and keeps what was said."""
    market = Market("BTC/USDT", "BTC", "USDT")
    fresh = found(ORDER, market, RULES, 5)
    assert (fresh.next_ns, fresh.gone_ns, fresh.trouble) == (5, 5, "")
    unknown = found(ORDER, market, RULES, 5, answered=SubmissionStatus.UNKNOWN, reason="reset")
    assert (unknown.next_ns, unknown.trouble) == (5, "reset")


# What cannot be true


def told(*fills, filled="1", amount=None, status=OrderStatus.FILLED):
    """The exchange's word on the order, with these fills of it."""
    return OrderState(
        ORDER.client_id, "BTC/USDT", status, amount or ORDER.amount, Decimal(filled), fills
    )


def fill(trade_id="1", amount="1", price="100", fees=None, **other):
    """A fill of the order."""
    made = Fill(
        trade_id,
        ORDER.client_id,
        "BTC/USDT",
        "BTC",
        "USDT",
        Side.BUY,
        Decimal(price),
        Decimal(amount),
        {"BTC": Decimal("0.001")} if fees is None else fees,
    )
    return attrs.evolve(made, **other)


CANNOT_BE = {
    "B1: a fee above all that was bought": told(fill(fees={"BTC": Decimal("1.1")})),
    "B1: a fee above all that was paid": told(fill(fees={"USDT": Decimal(101)})),
    "B1: a rebate above all that was bought": told(fill(fees={"BTC": Decimal(-2)})),
    "B9: a fee in nothing": told(fill(fees={"": Decimal(1)})),
    "B9: a fee in something that is no asset": told(fill(fees={None: Decimal(1)})),
    "A10: a trade id that is a number": told(fill(trade_id=7)),
    "B9: a time that is none": told(fill(time_ns=None)),
    "A11: one trade under two ids": told(fill("1"), fill("2")),
    "A11: more fills than are filled": told(fill("1"), filled="0.5", status=OrderStatus.EXPIRED),
}


@pytest.mark.parametrize("name", CANNOT_BE)
def test_what_cannot_be_true_is_not_believed_and_not_on_record(name):
    """A10, A11, B1, B9: such an answer counts for nothing, and the next that can be true proves the order."""
    state = on(begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES), Sending(), 0)
    state = on(state, CANNOT_BE[name], 1)
    assert (state.fills, state.end) == ((), None)
    assert state.trouble
    state = on(state, told(fill()), 2)
    assert (state.outcome, state.filled) == (OrderOutcome.FILLED, 1)


@pytest.mark.parametrize("asset", ["BTC", "USDT", "BNB"])
def test_a_fee_up_to_all_that_was_traded_can_be_true(asset):
    """B1, B2: a fee that is rounded up to a unit may take all of a tiny fill; of a token, nothing says how much is much."""
    fees = {asset: Decimal(1) if asset == "BTC" else Decimal(100)}
    state = on(begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES), Sending(), 0)
    assert on(state, told(fill(fees=fees)), 1).outcome is OrderOutcome.FILLED


def test_fills_that_come_to_more_than_the_order_leave_on_record_what_was_believed_first():
    """A11: two answers that can each be true, but not both, end it as stuck; what is on record a person can complete."""
    state = on(begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES), Sending(), 0)
    state = on(state, told(fill("1", "0.6"), filled="0.6", status=OrderStatus.OPEN), 1)
    state = on(state, told(fill("a", "0.6"), filled="0.6", status=OrderStatus.OPEN), 2)
    assert "1.2 of 1" in state.reason
    assert [one.trade_id for one in state.fills] == ["1"]
    assert state.outcome is None


async def test_a_reason_that_is_no_text_proves_nothing():
    """A4: the answer of a gateway that breaks its promise is no rejection, and nothing that a journal cannot take."""

    class Odd(Nowhere):
        async def submit(self, order, /):
            return Submission(SubmissionStatus.REJECTED, reason=b"no")

    assert (await submitted(ORDER, Odd())).status is SubmissionStatus.UNKNOWN
