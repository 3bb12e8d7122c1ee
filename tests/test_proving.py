"""Proving an order: that it never was is believed by the balances of its two assets alone, and failures keep their words."""

from decimal import Decimal

import pytest

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayUnavailable
from triarb.execution.machine import begin, found, instruction, on
from triarb.execution.messages import BalancesRead, Do, Rules, Sending
from triarb.execution.proving import prove, submitted
from triarb.ledger import SqlLedger
from triarb.model import (
    Balance,
    BalancesSet,
    Market,
    NotFound,
    Order,
    OrderOutcome,
    Side,
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
    state = begin(ORDER, Market("BTC/USDT", "BTC", "USDT"), RULES)
    answer = await submitted(state, Nowhere())
    assert answer.status is SubmissionStatus.UNKNOWN
    assert answer.reason == "the gateway answered a str"


def test_an_order_found_in_a_journal_is_asked_for_at_once():
    """E1: recovery waits for nothing before its first look-up, whatever was answered before, and keeps what was said."""
    market = Market("BTC/USDT", "BTC", "USDT")
    fresh = found(ORDER, market, RULES, 5)
    assert (fresh.next_ns, fresh.gone_ns, fresh.trouble) == (5, 5, "")
    unknown = found(ORDER, market, RULES, 5, answered=SubmissionStatus.UNKNOWN, reason="reset")
    assert (unknown.next_ns, unknown.trouble) == (5, "reset")
