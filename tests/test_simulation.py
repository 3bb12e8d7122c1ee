"""The simulated exchange: rules by worked numbers, invariants by random histories."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from triarb.exceptions import UsageError
from triarb.market.books import parse_book
from triarb.market.charges import charge
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Balance,
    Fee,
    FeeSide,
    Fill,
    Level,
    Market,
    NotFound,
    Order,
    OrderBook,
    OrderStatus,
    Provenance,
    Refused,
    Side,
    TimeInForce,
)
from triarb.simulation import MatchingEngine, check_order
from triarb.simulation.accounts import Accounts, reserve

D = Decimal
BTC = Market("BTC/USDT", "BTC", "USDT")
BUY, SELL = Side.BUY, Side.SELL
IOC, FOK, GTC = TimeInForce


def fee(rate="0", charged_in=FeeSide.RECEIVED):
    return Fee(D(rate), Provenance.OVERRIDE, charged_in)


def book(*, bids=(), asks=(), symbol="BTC/USDT", at=0):
    return parse_book(symbol, bids, asks, received_ns=at)


def levels(side):
    return [(str(level.price), str(level.amount)) for level in side]


def order(side, amount, price=None, tif=IOC, client_id="a", symbol="BTC/USDT"):
    return Order(client_id, symbol, side, D(amount), None if price is None else D(price), tif)


def engine(balances=None, *, rate="0", charged_in=FeeSide.RECEIVED, shown=None, market=BTC):
    held = {"USDT": "1000", "BTC": "10"} if balances is None else balances
    made = MatchingEngine(
        [market],
        FeeSchedule(otherwise=fee(rate, charged_in)),
        balances={asset: D(amount) for asset, amount in held.items()},
    )
    if shown is not None:
        made.set_book(shown)
    return made


def held(made):
    return {asset: (balance.free, balance.locked) for asset, balance in made.balances.items()}


ASKS = book(asks=[("100", "1"), ("101", "2"), ("105", "5")])
BIDS = book(bids=[("99", "1"), ("98", "2"), ("90", "5")])


class TestTaking:
    """Orders that act at once."""

    def test_a_buy_walks_the_asks_at_their_own_prices(self):
        """A limit buy of 2 at 103 costs 100 + 101, not 206, and pays its fee in what it brings."""
        made = engine(rate="0.001", shown=ASKS)
        state = made.submit(order(BUY, "2", "103"), 7)
        assert state.status is OrderStatus.FILLED
        assert state.filled == 2
        assert state.is_complete
        assert [(f.price, f.amount, dict(f.fees), f.time_ns) for f in state.fills] == [
            (D(100), D(1), {"BTC": D("0.001")}, 7),
            (D(101), D(1), {"BTC": D("0.001")}, 7),
        ]
        assert held(made) == {"BTC": (D("11.998"), 0), "USDT": (D(799), 0)}
        assert levels(made.book("BTC/USDT").asks) == [("101", "1"), ("105", "5")]

    def test_a_sell_walks_the_bids_at_their_own_prices(self):
        """A market sell of 2.5 brings 99 + 1.5 * 98 = 246 less the fee in quote."""
        made = engine(rate="0.002", shown=BIDS)
        state = made.submit(order(SELL, "2.5"), 0)
        assert state.status is OrderStatus.FILLED
        assert held(made) == {"BTC": (D("7.5"), 0), "USDT": (D("1245.508"), 0)}

    def test_an_ioc_that_fills_in_part_expires_with_what_it_filled(self):
        """1 of 2 is there at 100: it ends EXPIRED with filled 1 and locks nothing."""
        made = engine(shown=ASKS)
        state = made.submit(order(BUY, "2", "100"), 0)
        assert (state.status, state.filled) == (OrderStatus.EXPIRED, 1)
        assert held(made) == {"BTC": (11, 0), "USDT": (900, 0)}

    def test_an_ioc_that_nothing_crosses_expires_with_nothing(self):
        """A limit below the best ask, or no book at all, fills nothing."""
        made = engine(shown=ASKS)
        assert made.submit(order(BUY, "1", "99"), 0).filled == 0
        blind = engine()
        state = blind.submit(order(BUY, "1", "99"), 0)
        assert (state.status, state.filled, state.fills) == (OrderStatus.EXPIRED, 0, ())

    def test_a_market_order_takes_all_there_is_and_expires(self):
        """A market order for 9 against 8 ends EXPIRED with 8; the next one finds an emptied side."""
        made = engine(shown=ASKS)
        state = made.submit(order(BUY, "9", tif=GTC), 0)
        assert (state.status, state.filled) == (OrderStatus.EXPIRED, 8)
        assert made.book("BTC/USDT").asks == ()
        again = made.submit(order(BUY, "1"), 0)
        assert (again.status, again.filled) == (OrderStatus.EXPIRED, 0)

    @pytest.mark.parametrize(
        ("amount", "price", "filled"),
        [("3", "101", 3), ("3.1", "101", 0), ("8", None, 8), ("9", None, 0)],
    )
    def test_fok_fills_whole_or_not_at_all(self, amount, price, filled):
        """3 stand at up to 101 and 8 in all: one tenth more fills nothing and takes nothing."""
        made = engine({"USDT": "9999"}, shown=ASKS)
        state = made.submit(order(BUY, amount, price, FOK), 0)
        assert state.filled == filled
        assert state.status is (OrderStatus.FILLED if filled else OrderStatus.EXPIRED)
        assert sum(level.amount for level in made.book("BTC/USDT").asks) == 8 - filled

    @pytest.mark.parametrize(
        ("side", "charged_in", "btc", "usdt"),
        [
            (BUY, FeeSide.RECEIVED, "10.99", "900"),
            (BUY, FeeSide.GIVEN, "11", "899"),
            (BUY, FeeSide.QUOTE, "11", "899"),
            (SELL, FeeSide.RECEIVED, "9", "1098.01"),
            (SELL, FeeSide.GIVEN, "8.99", "1099"),
            (SELL, FeeSide.QUOTE, "9", "1098.01"),
        ],
    )
    def test_the_fee_is_taken_where_the_schedule_says(self, side, charged_in, btc, usdt):
        """One per cent of 1 BTC for 100 (bought) or 99 USDT (sold), in each of the three ways."""
        made = engine(rate="0.01", charged_in=charged_in, shown=ASKS)
        made.set_book(book(bids=[("99", "1")], asks=[("100", "1")]))
        made.submit(order(side, "1"), 0)
        assert held(made) == {"BTC": (D(btc), 0), "USDT": (D(usdt), 0)}

    def test_a_rebate_is_paid_and_not_counted_before(self):
        """A rebate on top makes the buy cheaper, but the balance must cover the whole price first."""
        made = engine({"USDT": "100"}, rate="-0.01", charged_in=FeeSide.GIVEN, shown=ASKS)
        assert made.submit(order(BUY, "1", "100"), 0).filled == 1
        assert held(made) == {"BTC": (1, 0), "USDT": (1, 0)}
        short = engine({"USDT": "99"}, rate="-0.01", charged_in=FeeSide.GIVEN, shown=ASKS)
        assert short.submit(order(BUY, "1", "100"), 0).code == "order.insufficient_balance"

    def test_trade_ids_are_unique_and_the_same_again(self):
        """They count per engine and carry the client id, so that two runs of fresh ids never share one."""
        ids = []
        for _ in range(2):
            made = engine(shown=ASKS)
            made.submit(order(BUY, "2", "101", client_id="x"), 0)
            made.submit(order(BUY, "1", "101", client_id="y"), 0)
            ids.append([f.trade_id for c in "xy" for f in made.fills(c)])
        assert ids[0] == ids[1] == ["x-1", "x-2", "y-3"]


class TestResting:
    """GTC orders and the books that come."""

    def test_the_rest_of_a_gtc_order_rests_with_its_funds_locked(self):
        """A buy of 3 at 100 takes 1, and locks 2 * 100 and 1 % on top."""
        made = engine(rate="0.01", charged_in=FeeSide.QUOTE, shown=ASKS)
        state = made.submit(order(BUY, "3", "100", GTC), 0)
        assert (state.status, state.filled, state.is_final) == (OrderStatus.OPEN, 1, False)
        assert held(made) == {"BTC": (11, 0), "USDT": (697, 202)}
        assert made.open_orders() == (state,)

    def test_a_later_book_fills_it_at_its_own_price(self):
        """Asks of 0.5 at 95 cross a bid of 2 at 100: 0.5 trade, at 100, timed by the book."""
        made = engine()
        made.submit(order(BUY, "2", "100", GTC), 0)
        fills = made.set_book(book(asks=[("95", "0.5"), ("101", "9")], at=5))
        assert [(f.price, f.amount, f.time_ns) for f in fills] == [(100, D("0.5"), 5)]
        assert held(made) == {"BTC": (D("10.5"), 0), "USDT": (800, 150)}
        assert made.set_book(book(asks=[("95", "0.5"), ("101", "9")])) == ()
        assert len(made.set_book(book(asks=[("100", "7")]))) == 1
        state = made.look_up("a", "BTC/USDT")
        assert (state.status, state.filled) == (OrderStatus.FILLED, 2)
        assert made.open_orders() == ()
        assert levels(made.book("BTC/USDT").asks) == [("100", "5.5")]
        assert made.fills("a") == state.fills

    def test_a_resting_sell_fills_when_a_bid_reaches_it(self):
        """A sell of 1 at 110 with its fee on top locks 1.01 and fills at 110 from a bid of 111."""
        made = engine(rate="0.01", charged_in=FeeSide.GIVEN, shown=BIDS)
        made.submit(order(SELL, "1", "110", GTC), 0)
        assert held(made)["BTC"] == (D("8.99"), D("1.01"))
        made.set_book(book(bids=[("111", "3")]))
        assert held(made) == {"BTC": (D("8.99"), 0), "USDT": (1110, 0)}

    def test_the_better_price_fills_first_then_the_older(self):
        """Bids at 100, 101 and 100 meet 2.5 for sale at 99: 101 whole, the older 100 whole, the last half."""
        made = engine()
        for name, price in (("old", "100"), ("best", "101"), ("new", "100")):
            made.submit(order(BUY, "1", price, GTC, name), 0)
        fills = made.set_book(book(asks=[("99", "2.5")]))
        assert [(f.client_id, f.amount) for f in fills] == [
            ("best", 1),
            ("old", 1),
            ("new", D("0.5")),
        ]

    def test_our_own_orders_never_meet(self):
        """A sell below our own resting bid finds only the market's bids."""
        made = engine(shown=BIDS)
        made.submit(order(BUY, "1", "99.5", GTC, "bid"), 0)
        state = made.submit(order(SELL, "1", "99", IOC, "ask"), 0)
        assert [f.price for f in state.fills] == [99]
        assert made.look_up("bid", "BTC/USDT").filled == 0

    def test_a_cancel_frees_the_funds_and_keeps_the_fills(self):
        """A half-filled order is CANCELED with what it filled; canceling it again changes nothing."""
        made = engine(rate="0.01", charged_in=FeeSide.GIVEN, shown=ASKS)
        made.submit(order(BUY, "2", "100", GTC), 0)
        state = made.cancel("a", "BTC/USDT", 1)
        assert (state.status, state.filled) == (OrderStatus.CANCELED, 1)
        assert held(made) == {"BTC": (11, 0), "USDT": (899, 0)}
        assert made.cancel("a", "BTC/USDT", 2) == state == made.look_up("a", "BTC/USDT")
        assert made.open_orders() == ()

    def test_an_order_that_is_not_known_is_not_found(self):
        """Neither an unknown id nor a known one on another market is found."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "1", "100"), 0)
        assert made.look_up("b", "BTC/USDT") == NotFound("b", "BTC/USDT")
        assert made.cancel("a", "ETH/USDT", 0) == NotFound("a", "ETH/USDT")
        assert made.fills("b") == ()

    def test_an_id_can_be_used_again_once_it_is_not_open(self):
        """The newest order answers; the fills of both are kept; while it is open the id is refused."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "1", "100"), 0)
        second = made.submit(order(BUY, "1", "90", GTC), 0)
        assert made.look_up("a", "BTC/USDT") == second
        assert second.exchange_id == "2"
        assert len(made.fills("a")) == 1
        before = held(made)
        refused = made.submit(order(BUY, "1", "90", GTC), 0)
        assert refused.code == "order.duplicate_id"
        assert held(made) == before


class TestConsumption:
    """What our orders took stays taken."""

    def test_a_level_shown_unchanged_stays_taken(self):
        """After taking 1 of 1 at 100 the same book shows us nothing there; a limit of 100 fills nothing."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "1", "100"), 0)
        made.set_book(ASKS)
        assert levels(made.book("BTC/USDT").asks) == [("101", "2"), ("105", "5")]
        assert made.submit(order(BUY, "1", "100"), 0).filled == 0

    def test_a_level_of_another_amount_is_new(self):
        """1 was shown and taken, 1.1 is shown now: 1.1 can be taken; a level in part likewise."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "2", "101"), 0)
        made.set_book(book(asks=[("100", "1.1"), ("101", "1.9")]))
        assert levels(made.book("BTC/USDT").asks) == [("100", "1.1"), ("101", "1.9")]

    @pytest.mark.parametrize("between", [[("101", "2")], []])
    def test_a_level_that_vanished_is_new_when_it_comes_back(self, between):
        """A book that lacks the price, or shows an empty side, ends what we took of it."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "1", "100"), 0)
        made.set_book(book(asks=between))
        made.set_book(ASKS)
        assert levels(made.book("BTC/USDT").asks)[0] == ("100", "1")

    @pytest.mark.parametrize("side", Side)
    def test_a_shallower_book_ends_nothing_beyond_it(self, side):
        """A book of one level does not tell that the second vanished."""
        shown = book(bids=[("99", "1"), ("98", "2")], asks=[("100", "1"), ("101", "2")])
        made = engine(shown=shown)
        made.submit(order(side, "2.5"), 0)
        made.set_book(shown.top())
        made.set_book(shown)
        assert [level.amount for level in made.book("BTC/USDT").against(side)] == [D("0.5")]

    def test_a_book_that_is_withdrawn_gives_nothing_and_forgets_nothing(self):
        """Between two equal books without one in between, what was taken stays taken."""
        made = engine(shown=ASKS)
        made.submit(order(BUY, "1", "100"), 0)
        made.withdraw_book("BTC/USDT")
        made.withdraw_book("ETH/USDT")
        assert made.book("BTC/USDT") is None
        assert made.book("ETH/USDT") is None
        assert made.submit(order(BUY, "1", "105"), 0).filled == 0
        assert made.submit(order(BUY, "1"), 0).code == "order.no_market_price"
        made.set_book(ASKS)
        assert levels(made.book("BTC/USDT").asks)[0] == ("101", "2")

    def test_a_level_of_no_amount_gives_no_fill(self):
        """A best ask of size zero is shown as it is, and taken past."""
        bare = [Level(D(100), D(0)), Level(D(101), D(1))]
        made = engine(shown=OrderBook("BTC/USDT", (), tuple(bare)))
        assert made.book("BTC/USDT").asks == tuple(bare)
        state = made.submit(order(BUY, "1", "101"), 0)
        assert [(f.price, f.amount) for f in state.fills] == [(101, 1)]
        assert made.book("BTC/USDT").asks == tuple(bare[:1])

    def test_what_is_left_keeps_the_book_s_times(self):
        """Taking changes amounts alone."""
        shown = attrs.evolve(ASKS, received_ns=5, exchange_ns=4)
        made = engine(shown=shown)
        made.submit(order(BUY, "1", "100"), 9)
        assert made.book("BTC/USDT") == attrs.evolve(shown, asks=ASKS.asks[1:])


LIMITED = Market(
    "BTC/USDT",
    "BTC",
    "USDT",
    price_tick=D("0.5"),
    amount_step=D("0.01"),
    min_amount=D("0.1"),
    max_amount=D("5"),
    min_notional=D("20"),
    max_notional=D("400"),
    min_price=D("50"),
    max_price=D("150"),
)


class TestRefusals:
    """Each refusal, with the numbers that it compared."""

    @pytest.mark.parametrize(
        ("bad", "code", "numbers"),
        [
            (order(BUY, "1.001", "100"), "amount_step", {"amount": D("1.001"), "step": D("0.01")}),
            (order(BUY, "0.09", "100"), "min_amount", {"amount": D("0.09"), "limit": D("0.1")}),
            (order(BUY, "5.01", "50"), "max_amount", {"amount": D("5.01"), "limit": D("5")}),
            (order(BUY, "1", "100.2"), "price_tick", {"price": D("100.2"), "step": D("0.5")}),
            (order(BUY, "1", "49.5"), "price_range", {"price": D("49.5"), "limit": D("50")}),
            (order(BUY, "1", "150.5"), "price_range", {"price": D("150.5"), "limit": D("150")}),
            (order(SELL, "0.19", "100"), "min_notional", {"notional": D("19"), "limit": D("20")}),
            (order(BUY, "4.1", "100"), "max_notional", {"notional": D("410"), "limit": D("400")}),
            (order(BUY, "0.19"), "min_notional", {"notional": D("19"), "limit": D("20")}),
            (order(BUY, "4.1"), "max_notional", {"notional": D("410"), "limit": D("400")}),
            (order(SELL, "1"), "no_market_price", {"amount": D("1")}),
            (order(BUY, "0", "100"), "bad_number", {"amount": "0"}),
            (order(BUY, "-1", "100"), "bad_number", {"amount": "-1"}),
            (order(BUY, "NaN", "100"), "bad_number", {"amount": "NaN"}),
            (order(BUY, "1", "Infinity"), "bad_number", {"price": "Infinity"}),
            (order(BUY, "1", "-5"), "bad_number", {"price": "-5"}),
            (order(BUY, "1" * 31, "5"), "bad_number", {"amount": "1" * 31}),
            (
                order(BUY, "4", "100"),
                "insufficient_balance",
                {"needed": D("404"), "free": D("300"), "asset": "USDT"},
            ),
            (
                order(SELL, "2", "100"),
                "insufficient_balance",
                {"needed": D("2.02"), "free": D("2"), "asset": "BTC"},
            ),
            (order(BUY, "1", "100", symbol="X/Y"), "unknown_market", {}),
        ],
    )
    def test_an_order_beyond_the_rules_is_refused_and_changes_nothing(self, bad, code, numbers):
        """The code and the numbers say what was wrong, and account and book stay as they were."""
        made = engine(
            {"USDT": "300", "BTC": "2"},
            market=LIMITED,
            rate="0.01",
            charged_in=FeeSide.GIVEN,
            shown=ASKS,
        )
        before = held(made), made.book("BTC/USDT"), made.totals()
        refused = made.submit(bad, 0)
        assert isinstance(refused, Refused)
        assert refused.code == f"order.{code}"
        assert dict(refused.numbers) == numbers
        assert bad.symbol in refused.sentence
        assert (held(made), made.book("BTC/USDT"), made.totals()) == before
        assert made.look_up("a", bad.symbol) == NotFound("a", bad.symbol)

    def test_an_order_at_every_limit_is_taken(self):
        """The least and the most allowed are allowed."""
        for good in (order(BUY, "0.4", "50"), order(SELL, "5", "80"), order(SELL, "0.2", "150")):
            assert check_order(good, LIMITED, None) is None
        assert check_order(order(SELL, "0.2"), LIMITED, D(100)) is None

    @pytest.mark.parametrize("amount", [0.1, "2", 3])
    def test_a_number_that_is_no_decimal_is_refused(self, amount):
        """Floats, text and whole numbers are named, not traded."""
        bad = Order("a", "BTC/USDT", BUY, amount, D(100))
        refused = check_order(bad, BTC, None)
        assert refused.code == "order.bad_number"
        assert type(amount).__name__ in refused.sentence

    def test_an_inactive_market_refuses(self):
        """However good the order is."""
        made = engine(market=attrs.evolve(BTC, active=False), shown=ASKS)
        assert made.submit(order(BUY, "1", "100"), 0).code == "order.market_inactive"

    def test_a_market_without_a_fee_refuses(self):
        """There is no default fee."""
        made = MatchingEngine([BTC], FeeSchedule(), balances={"USDT": D(1000)})
        made.set_book(ASKS)
        assert made.submit(order(BUY, "1", "100"), 0).code == "order.no_fee"

    def test_a_market_order_needs_only_what_it_takes(self):
        """201 USDT buy 1 at 100 and 1 at 101; 200.99 do not."""
        assert engine({"USDT": "201"}, shown=ASKS).submit(order(BUY, "2"), 0).filled == 2
        refused = engine({"USDT": "200.99"}, shown=ASKS).submit(order(BUY, "2"), 0)
        assert refused.code == "order.insufficient_balance"
        assert refused.numbers["needed"] == 201

    def test_a_limit_order_needs_its_limit_price(self):
        """As on an exchange, 201 USDT do not suffice for 2 at a limit of 101, though 201 is what it would cost."""
        refused = engine({"USDT": "201"}, shown=ASKS).submit(order(BUY, "2", "101"), 0)
        assert refused.code == "order.insufficient_balance"
        assert refused.numbers["needed"] == 202


class TestAccounts:
    """Money in, money out, and who holds it."""

    def test_totals_are_what_came_in_from_outside(self):
        """Fills and fees move amounts between the parties and change no sum."""
        made = engine(rate="0.001", shown=ASKS)
        made.submit(order(BUY, "2.5", "102", GTC), 0)
        assert made.totals() == {"BTC": 10, "USDT": 1000}
        made.deposit("USDT", D("-250"))
        made.set_balance("BTC", D(3))
        made.set_balance("ETH", D("0.5"))
        assert made.totals()["USDT"] == 750
        assert made.totals()["ETH"] == D("0.5")
        assert made.balances["BTC"] == Balance(D(3))
        assert made.totals()["BTC"] == 10 - D("9.4975")  # of 12.4975 held, 3 are left

    def test_more_digits_than_the_default_context_has_are_kept(self):
        """34 digits go into a lock and out of it again unrounded, whatever the caller's own context."""
        long = D("1234567890.123456789012345678901234")
        made = engine({"BTC": long})
        made.submit(order(SELL, "0.000000000000000001", "100", GTC), 0)
        made.cancel("a", "BTC/USDT", 0)
        assert made.balances == {"BTC": Balance(long)}
        assert made.totals() == {"BTC": long}

    def test_nothing_can_be_taken_out_that_is_not_free(self):
        """Neither more than there is nor what an order has locked; the error names the asset."""
        made = engine({"USDT": "100"})
        made.submit(order(BUY, "0.6", "100", GTC), 0)
        with pytest.raises(UsageError, match="41 USDT cannot be taken from 40 free"):
            made.deposit("USDT", D(-41))
        with pytest.raises(UsageError, match="USDT"):
            made.set_balance("USDT", D(59))
        with pytest.raises(UsageError, match="BTC"):
            engine({"BTC": "-1"})
        made.set_balance("USDT", D(60))
        assert held(made) == {"USDT": (0, 60)}
        made.deposit("USDT", D(0))

    def test_a_fee_beyond_the_trade_is_no_fee(self):
        """A schedule that takes 200 %, where 2 bps may have been meant, is refused and nothing moves."""
        made = engine({"USDT": "1000"}, rate="2", shown=ASKS)
        refused = made.submit(order(BUY, "1", "100"), 0)
        assert (refused.code, dict(refused.numbers)) == ("order.no_fee", {"rate": 2})
        assert held(made) == {"USDT": (1000, 0)}

    def test_a_fill_that_cannot_be_paid_moves_nothing(self):
        """Accounts settle a fill whole or not at all, also where only its fee is too much."""
        accounts = Accounts({"USDT": D(100), "BNB": D("0.1")})
        fill = Fill("1", "a", "BTC/USDT", "BTC", "USDT", BUY, D(100), D(1), {"BNB": D("0.2")})
        with pytest.raises(UsageError, match=r"0\.2 BNB cannot be taken from 0\.1 free"):
            accounts.settle(fill)
        assert accounts.balances() == {"BNB": Balance(D("0.1")), "USDT": Balance(D(100))}
        accounts.settle(attrs.evolve(fill, fees={"BNB": D("0.1")}))
        assert accounts.balances() == {"BTC": Balance(D(1))}
        assert accounts.totals() == {"BNB": D("0.1"), "USDT": 100}

    @given(
        price=st.decimals("0.00000001", "99999999", places=8),
        amount=st.decimals("0.00000001", "99999999", places=8),
        rate=st.decimals("-0.001", "0.01", places=6),
        side=st.sampled_from(Side),
        charged_in=st.sampled_from(FeeSide),
    )
    def test_charge_and_reserve_are_exact(self, price, amount, rate, side, charged_in):
        """Fee and need agree with fractions to the last digit, however many digits there are."""
        due = fee(rate, charged_in)
        cost = Fraction(price) * Fraction(amount)
        bare = Fill("t", "c", "BTC/USDT", "BTC", "USDT", side, price, amount, {})
        asset, size = charge(bare, due)
        given_, received = (cost, amount) if side is BUY else (amount, cost)
        on_given = due.on_given(side)
        assert asset == (BTC.given(side) if on_given else BTC.received(side))
        assert Fraction(size) == Fraction(given_ if on_given else received) * Fraction(rate)
        need = Fraction(reserve(side, price, amount, due))
        assert need == Fraction(given_) * (1 + (max(Fraction(rate), 0) if on_given else 0))


MARKETS = {
    "A/Q": (Market("A/Q", "A", "Q"), fee("0.001")),
    "B/Q": (Market("B/Q", "B", "Q", amount_step=D("0.1")), fee("0.0025", FeeSide.GIVEN)),
    "A/B": (Market("A/B", "A", "B", min_notional=D("2")), fee("-0.0005", FeeSide.QUOTE)),
}
SYMBOLS = st.sampled_from(sorted(MARKETS))
PRICES = st.integers(95, 105).map(lambda n: D(n) / 100)
AMOUNTS = st.integers(1, 60).map(lambda n: D(n) / 20)


@st.composite
def shown_books(draw):
    mid = draw(st.integers(96, 104))
    bids = draw(st.dictionaries(st.integers(94, mid), AMOUNTS, max_size=4))
    asks = draw(st.dictionaries(st.integers(mid + 1, 106), AMOUNTS, max_size=4))
    return book(
        symbol=draw(SYMBOLS),
        bids=[(D(p) / 100, bids[p]) for p in sorted(bids, reverse=True)],
        asks=[(D(p) / 100, asks[p]) for p in sorted(asks)],
    )


class Histories(RuleBasedStateMachine):
    """Flows, books, orders and cancels in any order, against a ledger and a book-keeping of its own."""

    @initialize(q=st.integers(0, 40), a=st.integers(0, 40))
    def open_account(self, q, a):
        opening = {"Q": D(q), "A": D(a), "B": D(5)}
        self.engine = MatchingEngine(
            [market for market, _ in MARKETS.values()],
            FeeSchedule({symbol: due for symbol, (_, due) in MARKETS.items()}),
            balances=opening,
        )
        self.flows = Counter(opening)
        self.orders = {}
        self.fills = []
        self.taken = {(s, side): {} for s in MARKETS for side in Side}  # price -> (shown, taken)
        self.shown = {}
        self.number = 0

    def left(self, symbol, side):
        book_left = self.engine.book(symbol)
        return {lv.price: lv.amount for lv in book_left.against(side)} if book_left else {}

    def note_taken(self, symbol, side, before):
        """Compare what is left with what was; nothing grows, nothing is taken beyond what is there."""
        after, sum_taken = self.left(symbol, side), D(0)
        shown = {lv.price: lv.amount for lv in self.shown[symbol].against(side)}
        assert after.keys() <= before.keys()
        for price, amount in before.items():
            taken = amount - after.get(price, 0)
            assert taken >= 0
            sum_taken += taken
            _, earlier = self.taken[symbol, side].get(price, (None, D(0)))
            if taken:
                self.taken[symbol, side][price] = (shown[price], earlier + taken)
        for price, (of, taken) in self.taken[symbol, side].items():
            assert taken <= of, f"{taken} of {of} taken at {price}"
        return sum_taken

    @rule(asset=st.sampled_from("QAB"), amount=st.integers(-30, 30).map(D))
    def flow(self, asset, amount):
        balance = self.engine.balances.get(asset, Balance(D(0)))
        if balance.free + amount < 0:
            with pytest.raises(UsageError, match=asset):
                self.engine.deposit(asset, amount)
        else:
            self.engine.deposit(asset, amount)
            self.flows[asset] += amount

    @rule(new=shown_books())
    def show(self, new):
        symbol = new.symbol
        for side in Side:
            now = {lv.price: lv.amount for lv in new.against(side)}
            worst = (max if side is BUY else min)(now, default=None)

            def stays(price, of, now=now, worst=worst, side=side):
                if price in now:
                    return now[price] == of
                return worst is not None and (price > worst if side is BUY else price < worst)

            self.taken[symbol, side] = {
                price: (of, taken)
                for price, (of, taken) in self.taken[symbol, side].items()
                if stays(price, of)
            }
        self.shown[symbol] = new
        fills = self.engine.set_book(new)
        for side in Side:
            before = {}
            for lv in new.against(side):
                taken = self.taken[symbol, side].get(lv.price, (None, D(0)))[1]
                if lv.amount > taken:
                    before[lv.price] = lv.amount - taken
            ours = [f for f in fills if f.side is side]
            assert self.note_taken(symbol, side, before) == sum(f.amount for f in ours)
            assert all(f.price == self.orders[f.client_id].price for f in ours)
        self.fills += fills

    @precondition(lambda self: self.shown)
    @rule(data=st.data())
    def show_again(self, data):
        self.show(self.shown[data.draw(st.sampled_from(sorted(self.shown)))])

    @rule(symbol=SYMBOLS)
    def withdraw(self, symbol):
        self.engine.withdraw_book(symbol)
        assert self.engine.book(symbol) is None

    @rule(
        symbol=SYMBOLS,
        side=st.sampled_from(Side),
        amount=AMOUNTS,
        price=st.one_of(PRICES, st.none()),
        tif=st.sampled_from(TimeInForce),
        reuse=st.booleans(),
    )
    def send(self, symbol, side, amount, price, tif, reuse):
        self.number += not reuse
        client_id = f"o{self.number}"
        before, held_before = self.left(symbol, side), held(self.engine)
        was_open = client_id in {state.client_id for state in self.engine.open_orders()}
        new = Order(client_id, symbol, side, amount, price, tif)
        state = self.engine.submit(new, self.number)
        if isinstance(state, Refused):
            assert self.left(symbol, side) == before
            assert held(self.engine) == held_before
            return
        assert not was_open
        self.orders[client_id] = new
        self.fills += state.fills
        assert self.engine.look_up(client_id, symbol) == state
        if symbol in self.shown:
            assert self.note_taken(symbol, side, before) == state.filled
        if tif is FOK:
            assert state.filled in (0, amount)
        if price is not None:
            assert all((f.price - price) * (1 if side is BUY else -1) <= 0 for f in state.fills)
            assert all(f.price in before for f in state.fills)
        if price is None or tif is not GTC:
            assert state.is_final
        assert (state.status is OrderStatus.FILLED) == (state.filled == amount)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data):
        chosen = self.orders[data.draw(st.sampled_from(sorted(self.orders)))]
        state = self.engine.cancel(chosen.client_id, chosen.symbol, 0)
        assert state.is_final

    @invariant()
    def nothing_is_made_or_lost(self):
        totals = self.engine.totals()
        assert totals == {asset: amount for asset, amount in self.flows.items() if amount}

    @invariant()
    def balances_are_flows_and_fills(self):
        expected = Counter(self.flows)
        for fill in self.fills:
            for asset, change in fill.changes().items():
                expected[asset] += change
        totals = {asset: balance.total for asset, balance in self.engine.balances.items()}
        assert totals == {asset: amount for asset, amount in expected.items() if amount}
        assert len({fill.trade_id for fill in self.fills}) == len(self.fills)

    @invariant()
    def locked_is_what_open_orders_reserve(self):
        reserved = Counter()
        for state in self.engine.open_orders():
            sent = self.orders[state.client_id]
            market, due = MARKETS[state.symbol]
            rest = state.amount - state.filled
            assert rest > 0
            cost = rest * sent.price if sent.side is BUY else rest
            on_top = due.rate if due.on_given(sent.side) and due.rate > 0 else D(0)
            reserved[market.given(sent.side)] += cost * (1 + on_top)
        for asset, balance in self.engine.balances.items():
            assert balance.free >= 0
            assert balance.locked == reserved[asset]

    @invariant()
    def no_order_is_filled_beyond_its_amount(self):
        for client_id, sent in self.orders.items():
            state = self.engine.look_up(client_id, sent.symbol)
            assert 0 <= state.filled <= state.amount
            assert state.is_complete or not state.is_final


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
