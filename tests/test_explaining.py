"""explain: its numbers add up, it never raises for a nominated cycle, and text, table and record tell the same."""

import re
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import assume, given, settings, strategies as st

from triarb import (
    AllOf,
    Approved,
    BoundedCycleFinder,
    Cycle,
    DepthSizer,
    Explanation,
    FeeSchedule,
    FirstRefusal,
    FixedSizer,
    Opportunity,
    OrderBook,
    Plan,
    Portfolio,
    RateTable,
    Refused,
    RiskLimits,
    TopOfBookSizer,
    confirm,
    explain,
    make_plan,
    nominate,
    profit_at,
    scan,
)
from triarb.exceptions import UsageError
from triarb.explaining.explanation import HEADINGS
from triarb.explaining.numbers import exact, near
from triarb.market.books import parse_book
from triarb.model import Fee, FeeSide, Leg, Market, Provenance, Side
from triarb.money import arithmetic
from triarb.pricing import Priced, break_even_fee_bps
from triarb.risk import MaxAge, MaxDailyLoss, MaxNotional, MinEdge
from triarb.testing.market import planted_triangle
from triarb.testing.opportunities import approvals, cycles_with_books, opportunities, view_of
from triarb.testing.strategies import exchanges

D = Decimal
ASKED = "the tops of its books"


WORKED_BY_HAND = """\
USDT > BTC > ETH > USDT at the tops of its books: 1.040000000 before fees, 1.036883119 after (+368.8312 bps); it breaks \
even at a fee of 129.8848 bps a leg
leg  trade               price          depth used                 fee                             brings          \
left over                               costs
1    buy 2.8 BTC/USDT    100 to 101     2.8 of 7 BTC, 2 levels     0.0028 BTC (10 bps, account)    2.7972 BTC      \
nothing                                 1.1232 USDT
2    buy 54.8 ETH/BTC    0.05 to 0.051  54.8 of 90 ETH, 2 levels   0.0548 ETH (10 bps, account)    54.7452 ETH     \
0.0024 BTC by steps, 0.03 BTC by limit  6.23376 USDT
3    sell 54.7 ETH/USDT  5.2 to 5.1     54.7 of 100 ETH, 2 levels  0.28297 USDT (10 bps, account)  282.68703 USDT  \
0.0452 ETH by steps                     1.98801 USDT
all  spends 280.8 USDT                  costs 4.8812 USDT          costs 0.85913 USDT              282.68703 USDT  \
costs 3.60464 USDT                      9.34497 USDT
280.8 USDT would earn 11.232; fees cost 0.85913, depth 4.8812, whole steps 0.48464, limits 3.12: it earns 1.88703 USDT
bound by the amount, 290 USDT
at least the minimum of BTC/USDT, 0.1 BTC: 10 USDT"""


def triangle(fee_bps: str = "10", **changes: str) -> tuple[Cycle, dict[str, OrderBook]]:
    """USDT > BTC > ETH > USDT of three books; `changes` replace what one of its markets tells."""
    rows = [
        ("BTC/USDT", Side.BUY, "100", [["99", "9"]], [["100", "2"], ["101", "5"]]),
        ("ETH/BTC", Side.BUY, "0.05", [["0.04", "90"]], [["0.05", "30"], ["0.051", "60"]]),
        ("ETH/USDT", Side.SELL, "5.2", [["5.2", "40"], ["5.1", "60"]], [["5.3", "90"]]),
    ]
    fee = Fee(D(fee_bps) / 10_000, Provenance.ACCOUNT)
    legs, books = [], {}
    for symbol, side, price, bids, asks in rows:
        market = Market(symbol, *symbol.split("/"), amount_step=D("0.1"), min_amount=D("0.1"))
        market = attrs.evolve(
            market, **{k: D(v) for k, v in changes.items() if symbol == "ETH/BTC"}
        )
        legs.append(Leg(market, side, D(price), fee))
        books[symbol] = parse_book(symbol, bids, asks, received_ns=0)
    return Cycle(tuple(legs)), books


def confirmed(cycle: Cycle, books: dict[str, OrderBook]) -> Opportunity:
    """What the pipeline would see."""
    schedule = FeeSchedule({leg.market.symbol: leg.fee for leg in cycle.legs})
    answer = confirm(cycle, books, schedule, view_of(cycle, books), 0)
    assert isinstance(answer, Opportunity), answer
    return answer


def planned(opportunity: Opportunity, amount: str, gap_bps: str = "500") -> Plan:
    """The plan of a fixed amount."""
    priced = profit_at(opportunity, D(amount))
    assert isinstance(priced, Priced), priced
    return make_plan(opportunity, priced.legs, D(gap_bps))


def test_an_explanation_worked_by_hand():
    """Leg by leg, where the gross result goes: fees, depth, steps, limits.

    The tops multiply to 1/100 * 1/0.05 * 5.2 = 1.04. With 290 USDT:

    1. 2 BTC at 100, the rest at 101, in steps of 0.1: what an order of amount a locks is a * 101, so 290 pay for 2.8.
       They cost 2 * 100 + 0.8 * 101 = 280.8, and bring 2.8 * 0.999 = 2.7972 BTC; the fee is 0.0028 BTC.
    2. 2.7972 BTC pay at a limit of 0.051 for 54.84 ETH, 54.8 in whole steps, which lock 2.7948: 0.0024 is left by the
       step. They cost 30 * 0.05 + 24.8 * 0.051 = 2.7648: 0.03 is left by the limit. They bring 54.8 * 0.999 = 54.7452
       ETH; the fee is 0.0548 ETH.
    3. 54.7 ETH, 0.0452 left, of which 40 sell at 5.2 and 14.7 at 5.1: 282.97 USDT, of which the fee is 0.28297.

    An ETH is worth 5.2 USDT, a BTC 20 * 5.2 = 104, and a USDT at the start 1.04. So the losses in USDT are
    1. fee 0.0028 * 104 = 0.2912; depth 280.8 * 1.04 - 2.8 * 104 = 292.032 - 291.2 = 0.832
    2. fee 0.0548 * 5.2 = 0.28496; depth 2.7648 * 104 - 54.8 * 5.2 = 287.5392 - 284.96 = 2.5792;
       step 0.0024 * 104 = 0.2496; limit 0.03 * 104 = 3.12
    3. fee 0.28297; depth 54.7 * 5.2 - 282.97 = 1.47; step 0.0452 * 5.2 = 0.23504
    which are 0.85913 of fees, 4.8812 of depth, 0.48464 of steps and 3.12 of limits, 9.34497 together. The gross result
    is 280.8 * 0.04 = 11.232, and 11.232 - 9.34497 = 1.88703 = 282.68703 - 280.8.
    """
    explanation = explain(confirmed(*triangle()), amount=D(290))
    assert explanation.gross_result == Fraction("11.232")
    assert explanation.result == D("1.88703")
    total = explanation.losses
    assert [total.fee, total.depth, total.step, total.limit, total.total] == [
        Fraction(number) for number in ("0.85913", "4.8812", "0.48464", "3.12", "9.34497")
    ]
    one, two, three = explanation.sizes
    assert (one.fee, one.fee_asset, one.levels, one.shown) == (Fraction("0.0028"), "BTC", 2, D(7))
    assert (two.arrived, two.step_left, two.limit_left) == (D("2.7972"), D("0.0024"), D("0.03"))
    assert (three.step_left, three.limit_left, three.levels) == (D("0.0452"), 0, 2)
    record = explanation.to_dict()
    assert record["lost_to_fee"] == "0.85913"
    assert record["legs"][1]["lost_to_limit"] == "3.12"
    assert str(explanation) == WORKED_BY_HAND


def adds_up(explanation: Explanation) -> None:
    """The gross result less every loss is the result; each leg's losses are what it had less what it brought, at their worth."""
    cycle, sizes = explanation.cycle, explanation.sizes
    assert len(sizes) == len(cycle.legs)
    assert explanation.gross_result is not None
    assert explanation.result is not None
    assert explanation.gross_result - explanation.losses.total == Fraction(explanation.result)
    assert explanation.gross_result == Fraction(explanation.amount) * (cycle.gross_ratio - 1)
    worth = cycle.gross_ratio
    for leg, size in zip(cycle.legs, sizes, strict=True):
        lost = Fraction(size.arrived) * worth
        worth /= leg.gross_ratio
        assert lost - Fraction(size.planned.received) * worth == size.losses.total
        with arithmetic():
            assert size.step_left + size.limit_left + size.planned.given == size.arrived
        assert size.step_left >= 0
        assert size.limit_left >= 0
        assert size.losses.depth >= 0
    assert worth == 1
    record = explanation.to_dict()
    parts = ["fee", "depth", "step", "limit"]
    assert Fraction(record["gross_result"]) - sum(
        Fraction(leg[f"lost_to_{part}"]) for leg in record["legs"] for part in parts
    ) == Fraction(record["result"])
    for part in parts:
        whole = sum(Fraction(leg[f"lost_to_{part}"]) for leg in record["legs"])
        assert whole == Fraction(record[f"lost_to_{part}"])


def tells_the_same(explanation: Explanation) -> None:
    """Every number of the table is the record's, exactly or after a ``~`` at 12 decimals, and the text holds both."""
    record, rows, text = explanation.to_dict(), explanation.rows(), str(explanation)
    start = explanation.cycle.start
    assert explanation.records() == [
        *record["legs"],
        {"leg": "all", **{k: v for k, v in record.items() if k != "legs"}},
    ]
    lines = text.splitlines()
    assert lines[0] == explanation.headline()
    assert re.split(r"  +", lines[1]) == [*HEADINGS]
    for row, line in zip(rows, lines[2:], strict=False):
        assert len(row) == len(HEADINGS)
        assert re.split(r"  +", line) == [cell for cell in row if cell]
    assert lines[2 + len(rows) :] == explanation.notes()
    for leg, row in zip(record["legs"], rows, strict=False):
        assert row[0] == str(leg["leg"])
        assert row[1].split()[0] == leg["side"]
        assert row[1].split()[-1] == leg["symbol"]
        assert row[2].split(" to ")[0] == leg["price"]
        assert f"{leg['fee_bps']} bps, {leg['fee_from']}" in row[4]
        if leg["amount"] is None:
            continue
        assert row[1].split()[1] == leg["amount"]
        assert row[2].split(" to ")[-1] == leg["limit_price"]
        assert row[4].startswith(f"{near(Fraction(leg['fee']))} {leg['fee_charged_in']} (")
        assert row[5] == f"{leg['received']} {leg['received_asset']}"
        for part, word in (("step_left", "steps"), ("limit_left", "limit")):
            told = f"{leg[part]} {leg['given_asset']} by {word}"
            assert (told in row[6]) == (leg[part] != "0")
        lost = sum(Fraction(leg[f"lost_to_{part}"]) for part in ("fee", "depth", "step", "limit"))
        assert row[7] == f"{near(lost)} {start}"
        if leg["shown"] is not None:
            assert row[3].startswith(f"{leg['amount']} of {leg['shown']} ")
    if record["amount"] is not None:
        assert rows[-1][1] == f"spends {record['amount']} {start}"
        assert f"it earns {record['result']} {start}" in text
    for word, told in zip(explanation.words, record["policies"], strict=True):
        assert told["policy"] in str(word)
        assert (told["code"] or "approves") in str(word)
    if record["refused"] is not None:
        assert f"refused, {record['refused']}: {record['reason']}" in lines


@pytest.mark.once
@settings(max_examples=80)
@given(opportunities(), st.none() | st.decimals("0.1", "300", places=1))
def test_the_numbers_of_an_opportunity_add_up(opportunity: Opportunity, amount: Decimal | None):
    """At the best size and at any other; where there is none, it says why."""
    explanation = explain(opportunity, amount=amount)
    tells_the_same(explanation)
    if explanation.sizes:
        adds_up(explanation)
    else:
        assert explanation.refused is not None
    if amount is None:
        assert explanation.sizes
        assert explanation.binding is not None


@pytest.mark.once
@settings(max_examples=50)
@given(st.data())
def test_the_numbers_of_a_plan_add_up(data: st.DataObject):
    """Against the books of its opportunity, and against its own limit prices alone."""
    opportunity = data.draw(opportunities())
    plan = TopOfBookSizer().size(
        data.draw(approvals(opportunity)), Portfolio({opportunity.cycle.start: D(300)})
    )
    assume(isinstance(plan, Plan))
    for explanation in (explain(plan, opportunity=opportunity), explain(plan)):
        tells_the_same(explanation)
        assert explanation.result == plan.expected_result
        assert explanation.subject == "plan"
    adds_up(explain(plan, opportunity=opportunity))
    alone = explain(plan)
    assert alone.gross_result - alone.losses.total == Fraction(plan.expected_result)
    assert alone.sizes[0].shown is None


@pytest.mark.once
@settings(max_examples=80)
@given(cycles_with_books(), st.none() | st.decimals("0.1", "300", places=1), st.data())
def test_a_cycle_on_any_books_is_explained(told, amount, data):
    """Confirmed or not, with all its books or some or none, it does not raise; what has no size has a reason."""
    cycle, books = told
    kept = {s: b for s, b in books.items() if data.draw(st.sampled_from([True, True, True, False]))}
    for shown in (books, kept, {}):
        explanation = explain(cycle, books=shown, amount=amount)
        tells_the_same(explanation)
        if explanation.sizes:
            adds_up(explanation)
        else:
            assert explanation.refused is not None
    assert explain(cycle).sizes == ()


@pytest.mark.once
@settings(max_examples=50)
@given(exchanges(max_assets=5, max_markets=10), st.booleans())
def test_no_nominated_cycle_makes_it_raise(exchange, told_sizes):
    """Whatever an exchange shows and whatever the finder nominates of it, losing cycles included."""
    markets, fees, quotes = exchange
    rates = RateTable(markets, fees, quotes)
    books = {quote.symbol: OrderBook.from_quote(quote) for quote in quotes if not quote.fault()}
    finder = BoundedCycleFinder(min_legs=2, max_legs=4, min_edge_bps=D(-10_000))
    for cycle in nominate(rates, finder)[:20]:
        explanation = explain(cycle, books=books if told_sizes else None, rates=rates.view())
        assert explanation.cycle.id == cycle.id
        tells_the_same(explanation)
        if explanation.sizes:
            adds_up(explanation)


def test_a_refused_cycle_shows_where_its_edge_went():
    """One that rounding ruins is explained at all that the tops carry, and at what it was asked about.

    In steps of 7 ETH, 99.9 USDT at 100 are 0.9 BTC that bring 0.8991, which pay for 17.98 ETH, 14 in whole steps.
    """
    cycle, books = triangle(amount_step="7", max_amount="14")
    explanation = explain(cycle, books=books)
    assert explanation.refused is not None
    assert explanation.refused.code == "cycle.no_profit_after_rounding"
    assert explanation.result is not None
    assert explanation.result < 0
    assert explanation.losses.step > explanation.losses.fee
    asked = explain(cycle, books=books, amount=D("99.9"))
    assert [size.planned.amount for size in asked.sizes] == [D("0.9"), D(14), D("13.9")]
    assert asked.binding is not None
    assert asked.binding.kind == "maximum"


def test_prices_are_those_of_the_books_or_of_the_nomination():
    """Without books, or with one missing, the nomination's; else the books' tops. It always says which."""
    cycle, books = triangle()
    old = Cycle(tuple(attrs.evolve(leg, price=leg.price * 2) for leg in cycle.legs))
    assert explain(old, books=books).cycle == cycle
    assert ASKED in explain(old, books=books).headline()
    missing = {symbol: book for symbol, book in books.items() if symbol != "ETH/BTC"}
    for explanation in (explain(old), explain(old, books=missing)):
        assert explanation.cycle == old
        assert "the prices that nominated it" in explanation.headline()
    assert explain(old, books=missing).refused.code == "book.missing"
    unpaid = attrs.evolve(cycle.legs[0], fee=Fee(D(1), Provenance.OVERRIDE))
    answer = explain(Cycle((unpaid, *cycle.legs[1:])), books=books)
    assert answer.refused.code == "market.no_fee"
    assert (answer.sizes, answer.binding, answer.floor) == ((), None, None)


@pytest.mark.parametrize(
    ("kind", "bound", "asking"),
    [
        ("depth", "30 ETH", {}),
        ("balance", "50 USDT", {"portfolio": Portfolio({"USDT": D(50)})}),
        ("max_amount", "50 USDT", {"risk": MaxNotional("50 USDT")}),
        ("amount", "50 USDT", {"amount": D(50)}),
        ("max_amount", "40 USDT", {"risk": MaxNotional("40 USDT"), "portfolio": Portfolio({"USDT": D(50)})}),
    ],
)  # fmt: skip
def test_the_binding_constraint_is_named(kind, bound, asking):
    """What a market shows, what is held, what risk lets it spend, what was asked."""
    cycle, books = triangle()
    explanation = explain(confirmed(cycle, {s: b.top() for s, b in books.items()}), **asking)
    assert explanation.binding is not None
    assert (explanation.binding.kind, str(explanation.binding.bound)) == (kind, bound)
    assert explanation.amount is not None
    assert explanation.amount <= explanation.binding.at_start
    assert f"bound by the {kind}" in str(explanation)


def test_a_maximum_and_a_minimum_are_named_with_what_they_come_to():
    """12 ETH at 0.05 over 0.999 are 0.6006 BTC, thus 60.06 USDT at the start; 4 ETH a third of it."""
    explanation = explain(confirmed(*triangle(max_amount="12", min_amount="4")))
    assert explanation.binding.kind == "maximum"
    assert explanation.binding.at_start == Fraction(12) * Fraction("0.05") / Fraction("0.999") * 100
    assert explanation.floor.at_start * 3 == explanation.binding.at_start
    assert "bound by the maximum of ETH/BTC, 12 ETH: ~60.06006006006 USDT" in explanation.notes()
    assert "at least the minimum of ETH/BTC, 4 ETH: ~20.02002002002 USDT" in explanation.notes()


def test_the_best_size_is_the_sizers_and_bound_by_what_it_says():
    """Beyond 30 ETH all of them would be paid for at 0.051; at a fee of 80 bps even the next unit alone would lose."""
    opportunity = confirmed(*triangle())
    explanation = explain(opportunity)
    plan = DepthSizer().size(Approved(opportunity), Portfolio({"USDT": D(10**6)}))
    assert isinstance(plan, Plan)
    assert [size.planned.amount for size in explanation.sizes] == [leg.amount for leg in plan.legs]
    assert (explanation.binding.kind, explanation.binding.symbol) == ("limit", "ETH/BTC")
    assert (explanation.gap, plan.gap) == (0, 0)
    assert explain(plan, opportunity=opportunity).binding == explanation.binding
    assert explain(plan).binding == explanation.binding
    said = "bound by the limit of ETH/BTC: a worse limit price there leaves over more than the next units earn"
    assert said in explanation.notes()
    assert "no other size within the same bounds earns more" in explanation.notes()
    told = explanation.to_dict()
    assert told["gap"] == "0"
    assert told["binding"] == {
        "kind": "limit",
        "symbol": "ETH/BTC",
        "bound": None,
        "asset": None,
        "at_start": None,
    }
    cycle, books = triangle(fee_bps="80")
    explanation = explain(confirmed(cycle, books))
    assert explanation.amount == 120
    assert explanation.binding.kind == "edge"
    assert "bound by the edge: the next units would earn less than they must" in str(explanation)
    for more in (130, 140, 150):
        other = explain(cycle, books={s: b.top() for s, b in books.items()}, amount=D(more))
        assert other.amount == more
        assert other.result < explanation.result


def test_a_search_that_was_cut_short_tells_what_it_may_have_missed():
    """The gap of a plan is told with it, and its binding constraint where that is known here."""
    opportunity = confirmed(*triangle())
    plan = DepthSizer().size(Approved(opportunity), Portfolio({"USDT": D(50)}))
    assert isinstance(plan, Plan)
    explanation = explain(attrs.evolve(plan, gap=D("0.25")), portfolio=Portfolio({"USDT": D(50)}))
    assert "another size could earn at most 0.25 USDT more" in explanation.notes()
    assert str(explanation.binding.bound) == "50 USDT"
    assert (plan.binding, explain(plan).binding.bound) == ("balance", None)


def test_a_plan_that_its_sizer_kept_small_is_bound_by_nothing():
    """50 USDT of 150 that would fit: the sizer chose it. With a loss allowed of what it has, that binds."""
    opportunity = confirmed(*triangle())
    plan = planned(opportunity, "50")
    assert explain(plan, opportunity=opportunity).binding is None
    assert "bound by" not in str(explain(plan, opportunity=opportunity))
    assert plan.max_loss > 0
    limit = MaxDailyLoss(f"{plan.max_loss} USDT")
    bound = explain(plan, opportunity=opportunity, risk=limit).binding
    assert bound is not None
    assert (bound.kind, bound.at_start) == ("max_loss", plan.at_stake)
    assert explain(plan, portfolio=Portfolio({"USDT": D(50)})).binding.kind == "balance"


def test_a_plan_is_explained_by_its_own_opportunity_only():
    """One of other trades is a mistake of the caller's."""
    opportunity = confirmed(*triangle())
    other = confirmed(*triangle(fee_bps="5"))
    with pytest.raises(UsageError, match="not of this opportunity"):
        explain(planned(opportunity, "50"), opportunity=other)


class Angry:
    """A policy that raises."""

    def review(self, opportunity, portfolio, now_ns):
        raise RuntimeError("I will not")


def test_every_policy_says_its_word():
    """Also those behind the first refusal, inside others, and one that raises; each with its bounds."""
    risk = FirstRefusal(
        MinEdge(500),
        AllOf(MaxNotional("50 USDT"), Angry()),
        RiskLimits(min_edge_bps=5, max_notional="60 USDT", max_daily_loss="20 USDT", allow=["BTC"]),
    )
    explanation = explain(confirmed(*triangle()), risk=risk)
    assert [word.policy for word in explanation.words] == [
        "MinEdge", "MaxNotional", "Angry", "MaxLegs", "MinEdge", "MaxEdge", "MaxAge", "MaxSkew", "Denied",
        "Allowed", "MaxFeeDrift", "MaxNotional", "MaxDailyLoss",
    ]  # fmt: skip
    codes = [word.refused.code if word.refused else None for word in explanation.words]
    assert codes == [
        "risk.min_edge", None, "policy.violation", *[None] * 6, "risk.not_allowed", *[None] * 3,
    ]  # fmt: skip
    assert explanation.refused.code == "risk.min_edge"
    assert explanation.words[1].max_amount == 50
    assert explanation.words[-1].max_loss == 20
    text = str(explanation)
    assert "MinEdge refuses, risk.min_edge: an edge of 368.8312 bps is below 500 bps" in text
    assert "MaxNotional approves, at most 50 spent" in text
    assert "MaxDailyLoss approves, at most 20 lost if stranded" in text
    assert "MinEdge approves, at least 5 bps at the margin" in text
    assert explanation.to_dict()["policies"][1] == {
        "policy": "MaxNotional", "approves": True, "code": None, "sentence": None, "max_amount": "50",
        "max_loss": None, "min_edge_bps": "0",
    }  # fmt: skip


def test_policies_are_asked_at_the_moment_told():
    """Books of the epoch are fresh when they were confirmed, and stale a second later."""
    opportunity = confirmed(*triangle())
    for now_ns, code in ((None, None), (0, None), (2 * 10**9, "risk.stale")):
        (word,) = explain(opportunity, risk=MaxAge(1000), now_ns=now_ns).words
        assert (word.refused.code if word.refused else None) == code


def test_each_way_of_charging_a_fee_is_taken_apart():
    """On top of a buy it is in what is given, from a sell in what is received; the sums hold either way."""
    cycle, books = triangle()
    for side, assets in (
        (FeeSide.GIVEN, ["USDT", "BTC", "ETH"]),
        (FeeSide.QUOTE, ["USDT", "BTC", "USDT"]),
        (FeeSide.RECEIVED, ["BTC", "ETH", "USDT"]),
    ):
        fee = Fee(D("0.001"), Provenance.FILL, side, "by hand")
        charged = Cycle(tuple(attrs.evolve(leg, fee=fee) for leg in cycle.legs))
        explanation = explain(charged, books=books, amount=D(50))
        adds_up(explanation)
        assert [size.fee_asset for size in explanation.sizes] == assets
        for leg, size in zip(explanation.to_dict()["legs"], explanation.sizes, strict=True):
            assert (leg["fee_charged_in"], leg["fee_from"]) == (size.fee_asset, "fill")
            assert leg["fee_note"] == "by hand"


@pytest.mark.once
@given(cycles_with_books())
def test_at_the_break_even_fee_a_cycle_earns_nothing(told):
    """A hair less and it earns, a hair more and it loses; it is what the scan says."""
    cycle, _ = told
    fee = break_even_fee_bps(cycle)
    hair = D("0.0001")
    for bps, sign in ((fee - hair, 1), (fee + hair, -1)):
        kept = (1 - Fraction(bps) / 10_000) ** len(cycle.legs)
        assert (cycle.gross_ratio * kept - 1) * sign > 0
    assert str(fee) != "-0.0000"


@given(st.fractions() | st.decimals(allow_nan=False, allow_infinity=False, places=9))
def test_texts_of_numbers_read_back(number: Fraction | Decimal):
    """The exact text is the number; the near one is at most half of its twelfth decimal away, and says if at all."""
    assert Fraction(exact(number)) == Fraction(number)
    text = near(number)
    off = abs(Fraction(text.removeprefix("~")) - Fraction(number))
    assert off <= Fraction(1, 2 * 10**12)
    assert text.startswith("~") == (off != 0)


def test_a_scan_explains_the_cycles_it_lists():
    """Each has its explanation, begun where it is judged from, with the scan's own numbers; without asking there is none."""
    result = scan(planted_triangle(), explain=True)
    (scanned,) = result.cycles
    explanation = scanned.explanation
    assert isinstance(explanation, Explanation)
    adds_up(explanation)
    assert (explanation.amount, explanation.result) == (scanned.amount, scanned.profit)
    assert explanation.cycle == scanned.cycle
    assert scanned.to_dict()["explanation"] == explanation.records()
    assert "explanation" not in result.records()[0]
    assert scan(planted_triangle(), explain=True, top=0).cycles == ()
    (plainly,) = scan(planted_triangle()).cycles
    assert plainly == attrs.evolve(scanned, explanation=None)
    assert "explanation" not in plainly.to_dict()


def test_a_scan_explains_what_it_cannot_size():
    """A snapshot without sizes gives prices, fees and the reason."""
    snapshot = attrs.evolve(planted_triangle(), volumes="aggregate")
    (scanned,) = scan(snapshot, explain=True).cycles
    assert scanned.explanation is not None
    assert scanned.explanation.refused == scanned.reason
    assert scanned.explanation.sizes == ()
    assert "size.aggregate" in str(scanned.explanation)


def test_a_fixed_sizers_plan_tells_what_it_earns():
    """The way a bot would ask: approve, size, explain."""
    opportunity = confirmed(*triangle())
    plan = FixedSizer("100 USDT").size(Approved(opportunity), Portfolio({"USDT": D(100)}))
    assert not isinstance(plan, Refused)
    explanation = explain(plan, opportunity=opportunity, portfolio=Portfolio({"USDT": D(100)}))
    assert explanation.binding.kind == "balance"
    adds_up(explanation)
