"""The ways out that a person has, in words: what an answer that cannot be true is told, to the last unit; and what was recovered."""

from decimal import Decimal

import attrs
import pytest

from triarb.exceptions import UsageError
from triarb.execution import Recovery
from triarb.execution.course import unproven
from triarb.execution.machine import begin
from triarb.execution.messages import Rules
from triarb.execution.resolving import flow, resolution
from triarb.ledger import SqlLedger
from triarb.market import RateTable
from triarb.model import (
    BalancesSet,
    Execution,
    Fill,
    Intended,
    Intent,
    Order,
    OrderOutcome,
    Outcome,
    Refused,
    Side,
    Unfinished,
)
from triarb.testing.execution import _plan
from triarb.testing.market import planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
BUY = Order("buy", "BTC/USDT", Side.BUY, D(1), D(100))
SELL = Order("sell", "XRP/EUR", Side.SELL, D(10), D(2))
ON_RECORD = Fill("1", "buy", "BTC/USDT", "BTC", "USDT", Side.BUY, D(100), D("0.25"), {})
OPEN = (
    Unfinished(
        1,
        PLAN,
        0,
        (Intent(Intended(0, 1, 1, BUY), fills=(ON_RECORD,)), Intent(Intended(0, 1, 4, SELL))),
    ),
)


def told(client_id="buy", **answer):
    """The events of a person's word."""
    return resolution(OPEN, client_id, 7, **{"evidence": "order history", **answer})


WRONG = {
    "no evidence": (
        {"evidence": " ", "never": True},
        "buy: there is no evidence (say how you know)",
    ),
    "both": (
        {"never": True, "filled": D(1)},
        "buy: it was filled, or it never was (say one of never and filled)",
    ),
    "more than was ordered": (
        {"filled": D("1.01")},
        "buy: 1.01 of 1 filled cannot be, 0.25 are on record (give base units, those on record included)",
    ),
    "less than is on record": (
        {"filled": D("0.2")},
        "buy: 0.2 of 1 filled cannot be, 0.25 are on record (give base units, those on record included)",
    ),
    "no price": (
        {"filled": D(1)},
        (
            "buy: 0.75 are not on record, and their price and fees are not told "
            "(give the average price, and the fees by asset; 0 of one where there were none)"
        ),
    ),
    "bought above its limit": (
        {"filled": D(1), "price": D("100.01"), "fees": {}},
        "buy: it cannot have filled at 100.01, beyond its limit (its limit is 100; look at the price again)",
    ),
    "sold below its limit": (
        {"client_id": "sell", "filled": D(1), "price": D("1.99"), "fees": {}},
        "sell: it cannot have filled at 1.99, beyond its limit (its limit is 2; look at the price again)",
    ),
    "no exact amount": (
        {"filled": D("NaN")},
        'filled: NaN is not finite (give it exactly, as Decimal("0.5"))',
    ),
    "no exact price": (
        {"filled": D(1), "price": 1.5, "fees": {}},
        'price: 1.5 is a float, not an exact number (give it exactly, as Decimal("0.5"))',
    ),
    "no exact fee": (
        {"filled": D(1), "price": D(1), "fees": {"BNB": 0.1}},
        'the fee in BNB: 0.1 is a float, not an exact number (give it exactly, as Decimal("0.5"))',
    ),
    "another order": (
        {"client_id": "other", "never": True},
        "other is no open order of this ledger (open are: buy, sell)",
    ),
}


@pytest.mark.parametrize(("answer", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_word_that_cannot_be_true_is_told_why(answer, words):
    """E10: nothing is booked by it; what is wrong is named with its value, and what would be right."""
    with pytest.raises(UsageError) as caught:
        told(**answer)
    assert str(caught.value) == words


def test_a_word_at_its_very_edge_is_taken():
    """E10: at the limit price, all of it, of either side; what is on record is not booked again."""
    fill, proven = told(filled=D(1), price=D(100), fees={"BNB": D("0.1")})
    assert (fill.fill.amount, fill.fill.price, fill.fill.fees) == (
        D("0.75"),
        100,
        {"BNB": D("0.1")},
    )
    assert (proven.outcome, proven.by_hand, proven.evidence) == (
        OrderOutcome.FILLED,
        True,
        "order history",
    )
    fill, proven = told("sell", filled=D(4), price=D(2), fees={})
    assert (fill.fill.base, fill.fill.quote, fill.fill.amount) == ("XRP", "EUR", 4)
    assert proven.outcome is OrderOutcome.PARTIAL
    [proven] = told("sell", filled=D(0))
    assert proven.outcome is OrderOutcome.EXPIRED
    [proven] = told("sell", never=True)
    assert proven.outcome is OrderOutcome.NEVER


async def test_what_left_was_there():
    """B6: all of an asset may leave, and a unit more may not; what is wrong is told with what is held."""
    async with SqlLedger("sqlite://") as ledger:
        await ledger.append(BalancesSet(0, {"USDT": D(10), "BTC": D("0.5")}, "opening"))
        for asset, amount, words in (
            ("USDT", "-10.01", "10.01 USDT cannot have left: the ledger holds 10"),
            ("ETH", "-1", "1 ETH cannot have left: the ledger holds 0"),
        ):
            with pytest.raises(UsageError) as caught:
                await flow(ledger, asset, D(amount), 5, "to the bank")
            mend = "what is beyond the ledger is not booked; it moves freely"
            assert (caught.value.message, caught.value.hint) == (words, mend)
        with pytest.raises(UsageError, match=r"the amount: 0\.5 is a float"):
            await flow(ledger, "USDT", 0.5, 5, "to the bank")
        await flow(ledger, "USDT", D(-10), 5, "to the bank")
        await flow(ledger, "BTC", D("-0.1"), 6, "to the bank")
        await flow(ledger, "ETH", D("0.1"), 7, "from the bank")
        assert dict(ledger.portfolio().balances) == {"BTC": D("0.4"), "ETH": D("0.1")}


# What was recovered


def ended(number, outcome):
    """An execution that has ended so."""
    return Execution(number, PLAN, (), outcome, {}, {}, 0, 1)


def test_a_recovery_is_told_line_by_line_and_as_json():
    """Every order, every execution, every balance that differs: in words, and with amounts as text."""
    found = Recovery(
        proven={"a": OrderOutcome.FILLED, "b": OrderOutcome.NEVER},
        stuck={"c": "no answer"},
        ended=(ended(3, Outcome.UNWOUND),),
        drift={"BTC": D("0.5"), "ETH": D(-2), "USDT": D(1), "XRP": D(0)},
        missing={"USDT": D("1E+1")},
        surprises=("somebody else trades here",),
    )
    assert str(found).splitlines() == [
        "order a: filled",
        "order b: never",
        "order c: not proven, no answer",
        "execution 3: ended unwound",
        "USDT: the exchange holds 10 less than the ledger",
        "BTC: 0.5 came to the exchange; it is not the ledger's",
        "somebody else trades here",
    ]
    assert found.to_dict() == {
        "opened": False,
        "proven": {"a": "filled", "b": "never"},
        "unproven": {"c": "no answer"},
        "ended": {"3": "unwound"},
        "drift": {"BTC": "0.5", "ETH": "-2", "USDT": "1", "XRP": "0"},
        "missing": {"USDT": "10"},
        "surprises": ["somebody else trades here"],
    }
    opening = Recovery(drift={"BTC": D("0.5")}, opened=True)
    assert str(opening) == "BTC: the ledger opens with 0.5"
    assert str(Recovery()) == "nothing to recover"


def test_a_stuck_order_is_named():
    """An execution that is stuck says of which order, on which market, and what stands in the way of a proof."""
    state = begin(BUY, PLAN.legs[0].market, Rules(None, deadline_ns=1))
    assert unproven(attrs.evolve(state, trouble="it is not found")) == Refused(
        "leg.unproven",
        "what became of buy on BTC/USDT is not proven: it is not found",
        {"client_id": "buy", "symbol": "BTC/USDT"},
    )
