"""Fees in an exchange's own token: charged to the last digit, counted on only where that is safe, and never lost from a result."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb import (
    CcxtGateway,
    DepthSizer,
    Engine,
    FeeSchedule,
    PaperGateway,
    RateTable,
    ReplayGateway,
    Report,
    RiskLimits,
    SqlLedger,
    Tape,
    confirm,
    decide,
    nominate,
)
from triarb.exceptions import UsageError
from triarb.execution.resolving import flow
from triarb.execution.steps import Finish, next_step
from triarb.finders import BoundedCycleFinder
from triarb.market.charges import token_prices
from triarb.model import (
    Approved,
    Cycle,
    Execution,
    Fee,
    FeeSide,
    Leg,
    LegResult,
    Market,
    Order,
    OrderBook,
    OrderState,
    Outcome,
    Plan,
    Portfolio,
    Provenance,
    Quote,
    Refused,
    Side,
    TimeInForce,
)
from triarb.pricing import settle_tokens
from triarb.risk import MinEdge
from triarb.simulation import MatchingEngine
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
FEES = FeeSchedule.flat(10).paid_in("BNB", "0.75")


def token_market(symbol, bid, ask):
    base, quote = symbol.split("/")
    market = Market(
        symbol, base, quote, base + quote, price_tick=D("0.0001"), amount_step=D("0.001")
    )
    return market, Quote(symbol, D(bid), D(ask), D(500), D(500), START_NS, START_NS)


def snapshot():
    """The planted triangle, with two markets of a fee token that no profitable cycle goes through."""
    own = [token_market("BNB/USDT", "5.00", "5.01"), token_market("BNB/BTC", "0.0498", "0.0502")]
    made = planted_triangle()
    return attrs.evolve(
        made,
        markets=(*made.markets, *(market for market, _ in own)),
        quotes=(*made.quotes, *(quote for _, quote in own)),
    )


def view_and_cycle(fees=FEES):
    made = snapshot()
    rates = RateTable(made.markets, fees, made.quotes)
    cycles = nominate(rates, BoundedCycleFinder(start=["USDT"]))
    return rates.view(), cycles[0].starting_from("USDT")


def books():
    return {quote.symbol: OrderBook.from_quote(quote) for quote in snapshot().quotes}


def holding(**amounts):
    return Portfolio(balances={asset: D(amount) for asset, amount in amounts.items()})


def planned(portfolio, fees=FEES, limits=LIMITS, sizer=None):
    view, cycle = view_and_cycle(fees)
    settled = settle_tokens(cycle, fees, view, portfolio)
    found = confirm(cycle, books(), settled, view, START_NS)
    if isinstance(found, Refused):
        return found
    return decide(found, limits, sizer or DepthSizer(), portfolio, START_NS)


# The fee itself


def test_a_fee_with_a_token_knows_its_lowest_and_its_worst():
    """Unsettled it counts in full; with its token it is lowest; counted on, it costs the ask of what is charged by the bid."""
    fee = FEES.fee("BTC/USDT")
    assert (fee.rate, fee.lowest.rate, fee.worst.rate) == (D("0.001"), D("0.00075"), D("0.001"))
    counted = fee.with_token_at(D(5), D("5.01")).counting_on_token()
    assert counted.rate == D("0.0007515")
    assert counted.worst.rate == D("0.001")
    assert counted.lowest.rate == D("0.00075")
    wide = fee.with_token_at(D(1), D(3)).counting_on_token()
    assert wide.worst.rate == wide.rate == D("0.00225")
    plain = Fee(D("0.001"), Provenance.OVERRIDE)
    assert plain.lowest is plain.worst is plain.counting_on_token() is plain
    assert fee.counting_on_token() is fee  # nobody tells its price


@pytest.mark.parametrize("charged", ["-0.1", "1.1", "most", None])
def test_a_part_that_makes_no_sense_is_refused(charged):
    """Of a fee between nothing and all of it is charged in a token."""
    with pytest.raises(UsageError) as caught:
        FeeSchedule.flat(10).paid_in("BNB", charged)
    assert caught.value.hint


@given(
    bid=st.decimals("0.0001", "1000", places=4),
    spread=st.decimals("0", "10", places=4),
    rate=st.decimals("0", "0.01", places=5),
)
def test_a_counted_fee_is_never_less_than_what_it_costs(bid, spread, rate):
    """Whatever the prices, the rate is rounded up, and by less than 1e-18."""
    fee = Fee(D("0.01"), Provenance.OVERRIDE).payable_in("BNB", rate)
    counted = fee.with_token_at(bid, bid + spread).counting_on_token()
    cost = Fraction(rate) * Fraction(bid + spread) / Fraction(bid)
    assert 0 <= Fraction(counted.rate) - cost < Fraction(1, 10**18)


def test_prices_of_a_token():
    """By the market that joins it with the quote asset, either way round, against us; one for itself."""
    quotes = {"BNB/USDT": Quote("BNB/USDT", D(5), D(6)), "BTC/BNB": Quote("BTC/BNB", D(3), D(7))}
    assert token_prices("BNB", "USDT", quotes.get) == (5, 6)
    assert token_prices("BNB", "BTC", quotes.get) == (
        D("0.142857142857142857"),
        D("0.333333333333333334"),
    )
    assert token_prices("BNB", "BNB", quotes.get) == (1, 1)
    assert token_prices("BNB", "EUR", quotes.get) is None


# What the simulation charges


def engine(bnb, fees=FEES):
    made = MatchingEngine(snapshot().markets, fees, balances={"USDT": D(1000), "BNB": D(bnb)})
    for book in books().values():
        made.set_book(book)
    return made


def test_a_fee_is_taken_in_the_token_while_it_lasts():
    """A buy of 1 BTC for 100 USDT owes 0.075 USDT, thus 0.015 BNB at a bid of 5; with less it pays 0.001 BTC instead."""
    for bnb, fees in (("0.015", {"BNB": D("0.015")}), ("0.0149", {"BTC": D("0.001")})):
        made = engine(bnb)
        state = made.submit(Order("a", "BTC/USDT", Side.BUY, D(1), D(100)), 0)
        assert [dict(fill.fees) for fill in state.fills] == [fees]
        assert made.balances["BTC"].total == 1 - fees.get("BTC", 0)
        assert made.totals() == {"USDT": 1000, "BNB": D(bnb)}


def test_the_token_pays_for_its_own_trades():
    """What a buy of it brings pays its fee, without any conversion; a sale takes it from what is left."""
    made = engine("0")
    bought = made.submit(Order("a", "BNB/USDT", Side.BUY, D(10), D("5.01")), 0)
    assert [dict(fill.fees) for fill in bought.fills] == [{"BNB": D("0.0075")}]
    sold = made.submit(Order("b", "BNB/USDT", Side.SELL, D(9), D(5)), 0)
    assert [dict(fill.fees) for fill in sold.fills] == [{"BNB": D("0.00675")}]
    made.deposit("BNB", D("-0.0001"))
    last = made.submit(Order("c", "BNB/USDT", Side.SELL, D("0.985"), D(5)), 0)
    assert [dict(fill.fees) for fill in last.fills] == [{"USDT": D("0.004925")}]


def test_without_a_price_of_the_token_the_full_fee_is_taken():
    """A quote asset that no market joins with the token, or whose book is gone, falls back too."""
    made = engine("100")
    made.withdraw_book("BNB/USDT")
    state = made.submit(Order("a", "BTC/USDT", Side.BUY, D(1), D(100)), 0)
    assert [dict(fill.fees) for fill in state.fills] == [{"BTC": D("0.001")}]
    assert made.token_markets("ETH/BTC") == ["BNB/BTC"]
    assert made.token_markets("nowhere") == []


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["BTC/USDT", "ETH/BTC", "ETH/USDT", "BNB/USDT", "BNB/BTC"]),
        st.sampled_from(Side),
        st.integers(1, 4000),
    ),
    max_size=12,
)


@settings(max_examples=80)
@given(
    bnb=st.decimals("0", "0.3", places=4),
    orders=ORDERS,
    side=st.sampled_from(FeeSide),
    charged=st.sampled_from(["0", "0.75", "1"]),
)
def test_with_token_fees_nothing_is_made_or_lost(bnb, orders, side, charged):
    """Over all parties every asset stays as it was, none of ours is below zero, and each fee is the token's or the full one."""
    fee = Fee(D("0.001"), Provenance.OVERRIDE, side)
    made = engine(bnb, FeeSchedule(otherwise=fee).paid_in("BNB", charged))
    before = made.totals()
    for number, (symbol, way, thousandths) in enumerate(orders):
        price = books()[symbol].against(way)[0].price
        amount = D(thousandths) / 1000
        state = made.submit(Order(str(number), symbol, way, amount, price, TimeInForce.IOC), 0)
        for fill in state.fills if isinstance(state, OrderState) else ():
            ((asset, size),) = fill.fees.items()
            if asset == "BNB" and "BNB" not in symbol:
                bid = {"USDT": D("5.00"), "BTC": D("0.0498")}[fill.quote]
                exact = Fraction(fill.amount * fill.price * D("0.001") * D(charged)) / Fraction(bid)
                assert 0 <= Fraction(size) - exact < Fraction(1, 10**8)
            elif asset == fill.base and asset != "BNB":
                assert size == fill.amount * D("0.001")
    assert made.totals() == before
    assert all(held.free >= 0 and held.locked >= 0 for held in made.balances.values())


# What is counted on


def counted(portfolio, cycle=None, fees=FEES, view=None):
    known, own = view_and_cycle(fees)
    cycle, view = cycle or own, view or known
    settled = settle_tokens(cycle, fees, view, portfolio)
    return [settled.fee(leg.market.symbol).token.counted for leg in cycle.legs]


def test_a_token_is_counted_on_where_it_covers_the_whole_cycle():
    """Three legs of 1000 USDT owe 0.75 USDT each, at bids of 5 and of 0.0498: about 0.4518 BNB, and no less will do."""
    assert counted(holding(USDT=1000, BNB="0.4525")) == [True] * 3
    assert counted(holding(USDT=1000, BNB="0.4515")) == [False] * 3
    reserved = attrs.evolve(holding(USDT=1000, BNB="0.5"), reserved={"BNB": D("0.1")})
    assert counted(reserved) == [False] * 3


def test_a_token_is_not_counted_on_where_that_is_not_safe():
    """One of the cycle's own assets, without a price for a leg, or where the fee comes on top of what a leg gives."""
    view, cycle = view_and_cycle()
    rich = holding(USDT=1000, BNB=100, BTC=100)
    quotes = {s: quote for s, quote in view.quotes.items() if s != "BNB/BTC"}
    assert counted(rich, view=attrs.evolve(view, quotes=quotes)) == [False] * 3
    through = Cycle(
        tuple(
            Leg(view.markets[symbol], side, view.quotes[symbol].price_for(side), FEES.fee(symbol))
            for symbol, side in (
                ("BNB/USDT", Side.BUY),
                ("BNB/BTC", Side.SELL),
                ("BTC/USDT", Side.SELL),
            )
        )
    )
    assert counted(rich, through) == [False] * 3
    on_top = FeeSchedule(otherwise=Fee(D("0.001"), Provenance.OVERRIDE, FeeSide.QUOTE))
    assert counted(rich, fees=on_top.paid_in("BNB", "0.75")) == [False, False, True]
    plain = FeeSchedule.flat(10)
    assert settle_tokens(cycle, plain, view, rich).fee("BTC/USDT") == plain.fee("BTC/USDT")


def test_a_plan_expects_the_token_and_fears_the_full_fee():
    """It expects more with the token than without, and its worst case is that of the full fee."""
    small = planned(holding(USDT=1000, BNB="0"))
    large = planned(holding(USDT=1000, BNB="10"))
    assert isinstance(small, Plan)
    assert isinstance(large, Plan)
    assert large.expected_result > small.expected_result
    for leg in large.legs:
        assert leg.fee.rate < D("0.001")
        assert leg.worst_received == (
            leg.amount * (1 if leg.side is Side.BUY else leg.limit_price) * D("0.999")
        )


def test_a_cycle_that_only_the_token_makes_profitable():
    """At 33.3 bps a leg an edge of 100 bps is a loss; at three quarters of that it is none, if the token is held."""
    fees = FeeSchedule.flat("33.3").paid_in("BNB", "0.75")
    assert planned(holding(USDT=1000), fees).code == "cycle.unprofitable"
    plan = planned(holding(USDT=1000, BNB=100), fees)
    assert isinstance(plan, Plan)
    assert plan.expected_result > 0 > plan.worst_result


def test_a_size_that_never_fits_is_refused(monkeypatch):
    """Where the worst case of every size that the search names is beyond the bound, no plan is made."""
    plan = planned(holding(USDT=1000, BNB=100))
    heavy = attrs.evolve(plan, worst_result=D(-1000))
    monkeypatch.setattr("triarb.pricing.depth.make_plan", lambda *_, **__: heavy)
    view, cycle = view_and_cycle()
    found = confirm(cycle, books(), FEES, view, START_NS)
    refused = DepthSizer().size(Approved(found, max_loss=D(5)), holding(USDT=1000))
    assert refused.code == "size.max_loss"


@pytest.mark.parametrize("max_loss", ["0.05", "0.3", "0.9", "3"])
def test_a_bound_on_losses_holds_if_the_token_runs_out(max_loss):
    """The sizer never plans more than may be lost at the full fees; the pipeline would stop the engine for it."""
    fees = FeeSchedule.flat("33.3").paid_in("BNB", "0.75")

    class Bound(MinEdge):
        def review(self, opportunity, portfolio, now_ns, /):
            return Approved(opportunity, max_loss=D(max_loss))

    plan = planned(holding(USDT=1000, BNB=100), fees, Bound(0))
    assert isinstance(plan, Refused) or plan.max_loss <= D(max_loss)
    assert isinstance(plan, Plan) or plan.code == "size.max_loss"


@settings(max_examples=60)
@given(
    bnb=st.decimals("0", "0.1", places=5),
    rate=st.sampled_from(["5", "10", "30"]),
    charged=st.sampled_from(["0", "0.5", "0.75"]),
)
def test_whenever_the_token_runs_out_the_worst_case_holds(bnb, rate, charged):
    """B2: where it lasts for some legs only, all legs fill, and the result keeps the worst case; where it lasts, what was expected."""
    fees = FeeSchedule.flat(rate).paid_in("BNB", charged)
    plan = planned(holding(USDT=1000, BNB=100), fees, MinEdge(0))
    if isinstance(plan, Refused):
        return
    made, results = engine(bnb, fees), []
    while not isinstance(step := next_step(plan, results), Finish):
        leg = plan.legs[step.leg]
        order = Order(str(step.leg), leg.market.symbol, leg.side, step.amount, leg.limit_price)
        state = made.submit(order, 0)
        assert isinstance(state, OrderState)
        results.append(LegResult(order, state.fills, 0, 0))
    changes = {
        asset: made.balances[asset].total - held if asset in made.balances else -held
        for asset, held in {"USDT": D(1000), "BNB": bnb, "BTC": D(0), "ETH": D(0)}.items()
    }
    done = Execution(1, plan, tuple(results), step.outcome, changes, {}, 0, 0)
    assert done.outcome is Outcome.COMPLETED
    assert done.result >= plan.worst_result
    if all("BNB" in fill.fees for leg in results for fill in leg.fills):
        assert done.result + done.left >= plan.expected_result - D("1e-6")


# The whole path


async def traded(gateway, ledger, cycles=1, limits=LIMITS, **settings):
    made = Engine(gateway, risk=limits, ledger=ledger, start=["USDT"], epoch="abcd", **settings)
    return await made.run(cycles=cycles)


def as_told(execution):
    return [
        (leg.market.symbol, dict(fill.fees))
        for leg, result in zip(execution.plan.legs, execution.legs, strict=True)
        for fill in result.fills
    ]


def replay(**balances):
    later = attrs.evolve(snapshot().quotes[0], received_ns=START_NS + 10**9)
    tape = Tape.of(snapshot(), [later])
    return ReplayGateway(tape, balances=balances, fees=FEES, latency_ms=0)


async def test_what_was_predicted_is_what_is_charged():
    """When nothing surprising happens, each fee is the predicted one to the last digit, and no drift is seen."""
    async with replay(USDT="1000", BNB="10") as gateway, SqlLedger("sqlite://") as ledger:
        report = await traded(gateway, ledger)
        (execution,) = report.executions
        assert execution.outcome is Outcome.COMPLETED
        assert [set(fees) for _, fees in as_told(execution)] == [{"BNB"}] * 3
        checks = ledger.portfolio().health.fees
        assert {check.drift_bps for check in checks.values()} == {0}
        assert {check.assets for check in checks.values()} == {("BNB",)}
        assert ledger.portfolio().health.fee_drift_bps == 0


async def test_the_token_spent_is_in_the_result():
    """An execution's result is what it brought less what the token costs to buy again, and not more than it truly is worth."""
    async with replay(USDT="1000", BNB="10") as gateway, SqlLedger("sqlite://") as ledger:
        (execution,) = (await traded(gateway, ledger)).executions
        spent = -execution.changes["BNB"]
        assert spent > 0
        left = sum(
            Fraction(n) * execution.worth()[a] for a, n in execution.residues.items() if n > 0
        )
        cost = Fraction(spent) * Fraction("5.01") - left
        assert 0 <= Fraction(execution.taken) - cost < Fraction(1, 10**17)
        assert execution.result == execution.changes["USDT"] - execution.taken
        assert execution.result >= execution.plan.expected_result - D("1e-6")
        (realised,) = ledger.portfolio().realised.values()
        assert realised == execution.result
        report = Report.of(ledger.events())
        assert report.net == {"USDT": execution.result}
        assert report.fee_cost == {"USDT": spent * D("5.01")}
        assert report.residues["BNB"] == -spent


async def test_a_token_without_a_price_costs_the_full_fee():
    """Where nobody tells its price it cannot be counted on; once it is charged, its cost is taken to be the full fee."""
    async with replay(USDT="1000", BNB="10") as gateway, SqlLedger("sqlite://") as ledger:
        (execution,) = (await traded(gateway, ledger)).executions
    legs = tuple(
        attrs.evolve(
            leg,
            fee=attrs.evolve(
                leg.fee,
                rate=D("0.001"),
                token=attrs.evolve(leg.fee.token, bid=None, ask=None, counted=False),
            ),
        )
        for leg in execution.plan.legs
    )
    blind = attrs.evolve(execution, plan=attrs.evolve(execution.plan, legs=legs))
    worth = blind.worth()
    fills = [fill for leg in blind.legs for fill in leg.fills]
    full = (
        sum(Fraction(fill.amount) * Fraction(fill.price) * worth[fill.quote] for fill in fills)
        / 1000
    )
    assert 0 <= Fraction(blind.taken) - full < Fraction(1, 10**18)
    assert blind.taken > execution.taken


def sandbox(exchange):
    return CcxtGateway(
        "binance",
        credentials=exchange.credentials,
        session_factory=exchange.session_factory,
        poll_seconds=0.01,
    )


@pytest.fixture
async def exchange():
    opened = LoopbackExchange(snapshot(), fees=FEES, balances={"USDT": "1000", "BNB": "10"})
    async with opened:
        yield opened


async def test_real_ccxt_pays_in_the_token_and_settles(exchange):
    """Through real ccxt: the account's own word on BNB, fees in it, and ledger and exchange equal to the last digit."""
    async with sandbox(exchange) as gateway, SqlLedger("sqlite://") as ledger:
        (execution,) = (await traded(gateway, ledger)).executions
        held = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
        assert execution.outcome is Outcome.COMPLETED
        assert dict(ledger.portfolio().balances) == held
        assert held == {a: b.total for a, b in exchange.engine.balances.items()}
        assert [set(fees) for _, fees in as_told(execution)] == [{"BNB"}] * 3
        assert ledger.portfolio().health.fee_drift_bps == 0
    totals = {asset: amount for asset, amount in exchange.engine.totals().items() if amount}
    assert totals == {"USDT": 1000, "BNB": 10}
    asked = [r.params["symbol"] for r in exchange.requests if r.path.endswith("/commission")]
    assert sorted(asked[1:]) == [
        "BTCUSDT",
        "ETHBTC",
        "ETHUSDT",
    ]  # one for all, then those nominated


async def test_paper_pays_in_the_token_as_the_exchange_does(exchange):
    """Law 4: the same fees in the same asset, though nobody asked paper trading for the token's book."""
    async with sandbox(exchange) as gateway, SqlLedger("sqlite://") as ledger:
        (real,) = (await traded(gateway, ledger)).executions
    async with LoopbackExchange(snapshot()) as again:
        source = CcxtGateway("binance", session_factory=again.session_factory, poll_seconds=0.01)
        paper = PaperGateway(
            source, balances={"USDT": "1000", "BNB": "10"}, fees=FEES, latency_ms=0
        )
        async with paper as gateway, SqlLedger("sqlite://") as ledger:
            (simulated,) = (await traded(gateway, ledger)).executions
    assert as_told(simulated) == as_told(real)
    assert simulated.result == real.result


async def test_a_token_that_ran_out_is_a_drift_and_a_refusal(exchange, tmp_path):
    """Somebody else spent the BNB: the fills fall back in silence, the worst case holds, and no further cycle is begun."""
    file = tmp_path / "ledger.sqlite"
    async with sandbox(exchange) as gateway, SqlLedger(file) as ledger:
        made = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"], epoch="abcd")
        async with made:
            exchange.engine.set_balance("BNB", D(0))
            execution = await made.step()
            assert [set(fees) for _, fees in as_told(execution)] == [{"BTC"}, {"ETH"}, {"USDT"}]
            assert execution.result >= execution.plan.worst_result
            for quote in snapshot().quotes:
                exchange.set_book(OrderBook.from_quote(attrs.evolve(quote, bid_size=D(60))))
            while await made.step() is None and "risk.fee_drift" not in made._tally.refused:
                pass
            assert made._tally.refused["risk.fee_drift"] > 0
            health = ledger.portfolio().health
            assert health.fees["ETH/USDT"].drift_bps == D("2.5")
            assert health.fees["ETH/USDT"].charged_bps == 10
    async with SqlLedger(file) as ledger:
        assert ledger.portfolio().health == health
        await flow(ledger, "BNB", D(-10), 0, "spent elsewhere")  # else what is missing halts
        async with sandbox(exchange) as gateway:  # which now finds the BNB gone, and counts in full
            exchange.set_book(OrderBook.from_quote(snapshot().quotes[0]))
            for quote in snapshot().quotes:
                exchange.set_book(OrderBook.from_quote(attrs.evolve(quote, bid_size=D(70))))
            report = await traded(gateway, ledger)
            assert len(report.executions) == 1
