"""MatchingEngine: what one account's orders do to the books that a market shows, exactly.

The rules, which are Binance's where exchanges differ:

- A taker fills level by level, best first, each at the level's own price; a better price than its limit is its to keep.
- A limit or market order that is not filled whole at once ends EXPIRED with what it filled; a FOK one fills whole or
  nothing; a GTC limit order rests with its funds locked. A market order never rests.
- A limit order needs funds for all of it at its limit price, a market order for what it takes; a fee on top included.
- A resting order fills when a later book crosses it, at its own price, for no more than the amount that crosses it; the
  better-priced of ours first, then the older. It pays the fee of the schedule, which knows takers' fees only.
- A fee that is paid in a token is taken in it, converted at the best bid that the token's market with the quote asset shows;
  where none shows one, or too little of the token is free, the full fee is taken without it, silently.
- Nobody takes the same amount of a level twice (`triarb.simulation.books`), and our own orders never meet each other.

The past can be asked for: what is given `as_of_ns` tells what a reader saw at that time, as one does who lags behind.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import attrs

from triarb.exceptions import UsageError
from triarb.market.charges import charge, token_charge, token_prices
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Balance,
    Fee,
    Fill,
    Level,
    Listed,
    Market,
    NotFound,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Quote,
    Refused,
    Side,
    TimeInForce,
)
from triarb.money import ZERO, arithmetic, plain, round_down
from triarb.simulation.accounts import Accounts, reserve
from triarb.simulation.books import ShownBook, reaches
from triarb.simulation.entries import Entry
from triarb.simulation.filters import check_order

_NO_BALANCES: Mapping[str, Decimal] = {}
_ALL = Decimal(1)


class MatchingEngine:
    """One account at a simulated exchange.

    Args:
        markets: those that orders may be for, with their steps and limits.
        fees: what they take; a market without a fee refuses orders.
        balances: what the account opens with, by asset.

    Raises:
        UsageError: a balance below zero.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        fees: FeeSchedule,
        *,
        balances: Mapping[str, Decimal] = _NO_BALANCES,
    ) -> None:
        self._markets = {market.symbol: market for market in markets}
        self._fees = fees
        self._accounts = Accounts(balances)
        self._books: dict[str, ShownBook] = {}
        self._open: dict[str, Entry] = {}  # by client id, the oldest first
        self._newest: dict[tuple[str, str], Entry] = {}  # by client id and symbol
        self._fills: dict[str, list[Fill]] = {}  # by client id
        self._orders: list[Entry] = []  # all of them, the oldest first
        self._flows: list[tuple[int, str, Decimal]] = []
        self._fill_limits: dict[str, Decimal] = {}  # by client id
        self._trades = 0

    # What the market shows

    @property
    def markets(self) -> Mapping[str, Market]:
        """The markets that orders may be for, by symbol."""
        return self._markets

    @property
    def fees(self) -> FeeSchedule:
        """What orders are charged from here on."""
        return self._fees

    def set_market(self, market: Market) -> None:
        """Change a market's steps, limits or state; an open order goes on under those that it was taken under.

        Raises:
            UsageError: there is no market of that symbol.
        """
        if market.symbol not in self._markets:
            raise UsageError(
                f"{market.symbol} is not a market of this exchange",
                hint="its markets stay the same",
            )
        self._markets[market.symbol] = market

    def set_fees(self, fees: FeeSchedule) -> None:
        """Charge by another schedule; an open order goes on under the one that it was taken under."""
        self._fees = fees

    def set_book(self, book: OrderBook) -> tuple[Fill, ...]:
        """Take in the market's word on a book.

        Returns:
            The fills of our resting orders that it crosses, timed by its `received_ns`.
        """
        shown = self._books.setdefault(book.symbol, ShownBook())
        shown.show(book)
        resting = [entry for entry in self._open.values() if entry.order.symbol == book.symbol]
        fills = []
        with arithmetic():
            for entry in sorted(resting, key=_priority):
                fills += self._cross(entry, shown, book.received_ns)
        return tuple(fills)

    def withdraw_book(self, symbol: str) -> None:
        """The market shows no book until the next `set_book`: nothing can be taken, what was taken is remembered."""
        if symbol in self._books:
            self._books[symbol].hide()

    def book(self, symbol: str) -> OrderBook | None:
        """What is left of a book for us, our own consumption taken off; None if none is shown."""
        shown = self._books.get(symbol)
        return shown.left() if shown else None

    def token_markets(self, symbol: str) -> list[str]:
        """The markets whose books say how the fees of `symbol` are converted into a token; none where they are not."""
        fee, market = self._fees.fee(symbol), self._markets.get(symbol)
        if fee is None or fee.token is None or market is None:
            return []
        asset = fee.token.asset
        names = (f"{asset}/{market.quote}", f"{market.quote}/{asset}")
        return [name for name in names if name in self._markets and name != symbol]

    # What we do

    def limit_fill(self, client_id: str, fraction: Decimal) -> None:
        """Let the next order of that id have at once no more than that part of it, in whole steps."""
        self._fill_limits[client_id] = fraction

    def submit(self, order: Order, now_ns: int) -> OrderState | Refused:
        """Let an order act now on the book as it stands.

        Returns:
            What it came to, fills included; or why it was not taken, and then nothing has changed. The codes are those
            of `triarb.simulation.filters.check_order`, and `order.unknown_market`, `order.no_fee`,
            `order.duplicate_id`, `order.insufficient_balance`.
        """
        with arithmetic():
            return self._submit(order, self._fill_limits.pop(order.client_id, _ALL), now_ns)

    def _submit(self, order: Order, part: Decimal, now_ns: int) -> OrderState | Refused:
        symbol, side = order.symbol, order.side
        market = self._markets.get(symbol)
        if market is None:
            return Refused("order.unknown_market", f"{symbol} is not a market of this exchange")
        shown = self._books.setdefault(symbol, ShownBook())
        refused = check_order(order, market, shown.best(side))
        if refused is not None:
            return refused
        fee = self._fees.fee(symbol)
        if fee is None:
            return Refused("order.no_fee", f"the fee of {symbol} is not known")
        if abs(fee.rate) >= 1:
            sentence = f"the fee of {symbol}, {plain(fee.rate)}, is no fraction of a trade"
            return Refused("order.no_fee", sentence, {"rate": fee.rate})
        if order.client_id in self._open:
            sentence = f"an open order has the id {order.client_id}"
            return Refused("order.duplicate_id", sentence, {"client_id": order.client_id})

        most = order.amount if part == 1 else round_down(order.amount * part, market.amount_step)
        matches = list(_matches(shown.against(side), side, order.price, most))
        if order.time_in_force == TimeInForce.FOK:
            matched = sum((match.amount for match in matches), ZERO)
            matches = matches if matched == order.amount else []
        spent = matches if order.price is None else [Level(order.price, order.amount)]
        needed = sum((reserve(side, at.price, at.amount, fee) for at in spent), ZERO)
        asset = market.given(side)
        free = self._accounts.free(asset)
        if needed > free:
            return Refused(
                "order.insufficient_balance",
                f"{symbol}: {plain(needed)} {asset} are needed and {plain(free)} are free",
                {"needed": needed, "free": free, "asset": asset},
            )

        entry = Entry(order, market, fee, str(len(self._orders) + 1), now_ns)
        self._orders.append(entry)
        self._newest[order.client_id, symbol] = entry
        for match in matches:
            shown.take(side, match.price, match.amount)
            self._fill(entry, match.price, match.amount, now_ns)
        if not entry.rest:
            entry.status = OrderStatus.FILLED
        elif order.time_in_force == TimeInForce.GTC and order.price is not None:
            self._open[order.client_id] = entry
            self._accounts.lock(asset, entry.reserved())
        else:
            entry.status = OrderStatus.EXPIRED
        return entry.state()

    def cancel(self, client_id: str, symbol: str, now_ns: int) -> OrderState | NotFound:
        """Take an open order back and free its funds; one that is not open any more stays as it is."""
        entry = self._newest.get((client_id, symbol))
        if entry is None:
            return NotFound(client_id, symbol)
        if entry.status == OrderStatus.OPEN:
            with arithmetic():
                self._accounts.lock(entry.market.given(entry.order.side), -entry.reserved())
            self._close(entry, OrderStatus.CANCELED)
            entry.canceled_ns = now_ns
        return entry.state()

    def look_up(
        self, client_id: str, symbol: str, as_of_ns: int | None = None
    ) -> OrderState | NotFound:
        """The newest order of that id on that market, as it stands, or as it stood at `as_of_ns`."""
        entry = self._newest.get((client_id, symbol))
        if as_of_ns is not None:
            of_id = (e for e in reversed(self._orders) if e.name == (client_id, symbol))
            entry = next((past for e in of_id if (past := e.at(as_of_ns))), None)
        return NotFound(client_id, symbol) if entry is None else entry.state()

    def order(self, exchange_id: str, as_of_ns: int | None = None) -> OrderState | None:
        """The order that was given that number, as it stands, or as it stood at `as_of_ns`; None if there was none."""
        entry: Entry | None = self._orders[int(exchange_id) - 1]
        if entry is not None and as_of_ns is not None:
            entry = entry.at(as_of_ns)
        return None if entry is None else entry.state()

    def listed(
        self,
        symbol: str | None = None,
        since_ns: int = 0,
        *,
        only_open: bool = False,
        as_of_ns: int | None = None,
    ) -> tuple[Listed, ...]:
        """The orders of one market or of all, the oldest first, as they stand, or as they stood at `as_of_ns`."""
        stood = (e if as_of_ns is None else e.at(as_of_ns) for e in self._orders)
        return tuple(
            Listed(entry.order.client_id, entry.order.symbol)
            for entry in stood
            if entry is not None
            and symbol in (None, entry.order.symbol)
            and entry.placed_ns >= since_ns
            and (not only_open or entry.status == OrderStatus.OPEN)
        )

    def open_orders(self) -> tuple[OrderState, ...]:
        """The orders that rest, the oldest first."""
        return tuple(entry.state() for entry in self._open.values())

    def fills(self, client_id: str) -> tuple[Fill, ...]:
        """All fills of all orders that had that id, the oldest first."""
        return tuple(self._fills.get(client_id, ()))

    # What is held

    def deposit(self, asset: str, amount: Decimal, now_ns: int = 0) -> None:
        """Bring in `amount` of `asset` from outside; a negative one is taken out.

        Raises:
            UsageError: not that much is free.
        """
        self._accounts.deposit(asset, amount)
        self._flows.append((now_ns, asset, amount))

    def set_balance(self, asset: str, amount: Decimal) -> None:
        """Bring in or take out what makes our free and locked `asset` together `amount`.

        Raises:
            UsageError: open orders have locked more than that.
        """
        self._accounts.set_total(asset, amount)

    @property
    def balances(self) -> dict[str, Balance]:
        """What we hold, free and locked, by asset; those of which we hold nothing are left out."""
        return self._accounts.balances()

    def balances_at(self, as_of_ns: int) -> dict[str, Balance]:
        """What we held then."""
        with arithmetic():
            totals = {asset: held.total for asset, held in self.balances.items()}
            locked: dict[str, Decimal] = {}
            for now_ns, asset, amount in self._flows:
                if now_ns > as_of_ns:
                    totals[asset] = totals.get(asset, ZERO) - amount
            for entry in self._orders:
                for fill in entry.after(as_of_ns):
                    for asset, change in fill.changes().items():
                        totals[asset] = totals.get(asset, ZERO) - change
                past = entry.at(as_of_ns)
                if past is not None and past.status == OrderStatus.OPEN:
                    asset = past.market.given(past.order.side)
                    locked[asset] = locked.get(asset, ZERO) + past.reserved()
            held = {
                a: (total - locked.get(a, ZERO), locked.get(a, ZERO))
                for a, total in totals.items()
                if total
            }
            return {asset: Balance(*held[asset]) for asset in sorted(held)}

    def totals(self) -> dict[str, Decimal]:
        """What we, the market and the taker of fees hold together, by asset: only external flows change it."""
        return self._accounts.totals()

    # How it is done

    def _cross(self, entry: Entry, shown: ShownBook, now_ns: int) -> list[Fill]:
        """Fill a resting order with what crosses it."""
        side, price = entry.order.side, entry.limit
        fills = []
        for match in list(_matches(shown.against(side), side, price, entry.rest)):
            shown.take(side, match.price, match.amount)
            part = reserve(side, price, match.amount, entry.fee)
            self._accounts.lock(entry.market.given(side), -part)
            fills.append(self._fill(entry, price, match.amount, now_ns))
        if not entry.rest:
            self._close(entry, OrderStatus.FILLED)
        return fills

    def _fill(self, entry: Entry, price: Decimal, amount: Decimal, now_ns: int) -> Fill:
        order, market = entry.order, entry.market
        self._trades += 1
        fill = Fill(
            f"{order.client_id}-{self._trades}",
            order.client_id,
            order.symbol,
            market.base,
            market.quote,
            order.side,
            price,
            amount,
            {},
            now_ns,
        )
        fill = self._charged(fill, entry.fee)
        self._accounts.settle(fill)
        entry.filled += amount
        entry.fills += (fill,)
        self._fills.setdefault(order.client_id, []).append(fill)
        return fill

    def _charged(self, fill: Fill, fee: Fee) -> Fill:
        """`fill` with its fee: in the token, converted at its best bid, if what is free then covers that; else in full."""
        token = fee.token
        if token is not None:
            prices = token_prices(token.asset, fill.quote, self._shown_quote)
            size = token_charge(fill, token, prices and prices[0])
            if size is not None:
                paid = attrs.evolve(fill, fees={token.asset: size})
                if self._accounts.free(token.asset) + paid.changes()[token.asset] >= 0:
                    return paid
        asset, size = charge(fill, fee)
        return attrs.evolve(fill, fees={asset: size})

    def _shown_quote(self, symbol: str) -> Quote | None:
        shown = self._books.get(symbol)
        if shown is None:
            return None
        return Quote(symbol, shown.best(Side.SELL), shown.best(Side.BUY))

    def _close(self, entry: Entry, status: OrderStatus) -> None:
        entry.status = status
        del self._open[entry.order.client_id]


def _priority(entry: Entry) -> Decimal:
    """The better price first; sorting keeps the older first among equals."""
    return -entry.limit if entry.order.side == Side.BUY else entry.limit


def _matches(
    levels: Iterable[Level], side: Side, limit: Decimal | None, amount: Decimal
) -> Iterator[Level]:
    """What a trade takes of `levels`: at each price within its limit, the amount of it."""
    for level in levels:
        if not amount or (limit is not None and not reaches(side, limit, level.price)):
            return
        taken = min(amount, level.amount)
        amount -= taken
        if taken:
            yield Level(level.price, taken)
