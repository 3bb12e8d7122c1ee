"""check_gateway: what every ExchangeGateway must keep, for the authors of one."""

from collections.abc import Callable
from decimal import Decimal

from triarb.gateways.gateway import ExchangeGateway, MarketData
from triarb.model import (
    Market,
    NotFound,
    Order,
    OrderState,
    Quote,
    Side,
    Submission,
    SubmissionStatus,
)
from triarb.money import arithmetic
from triarb.pricing.legs import least_amount


async def check_market_data(gateway: MarketData) -> None:
    """Look at an entered gateway's markets, first quotes and one book.

    Raises:
        AssertionError: a market twice, a market without a first quote, a number that is no Decimal, or a book of
            something else.
    """
    markets = await gateway.markets()
    symbols = [market.symbol for market in markets]
    _demand(bool(symbols), "it shows no market")
    _demand(len(symbols) == len(set(symbols)), "it shows a market twice")
    _demand(gateway.exchange != "", "it has no exchange id")
    before = gateway.clock.now_ns()
    async for batch in gateway.quotes():
        first = {change.symbol: change for change in batch}
        break
    else:
        raise AssertionError("its quotes ended before the first batch")
    missing = sorted({m.symbol for m in markets if m.active} - set(first))
    _demand(not missing, f"its first batch holds no word on {', '.join(missing[:5])}")
    for change in first.values():
        if isinstance(change, Quote):
            for number in (change.bid, change.ask, change.bid_size, change.ask_size):
                exact = number is None or isinstance(number, Decimal)
                _demand(exact, f"{change.symbol} is quoted with {number!r}, not a Decimal")
    usable = [s for s, c in first.items() if isinstance(c, Quote) and c.fault() is None]
    _demand(bool(usable), "none of its first quotes can be traded on")
    book = await gateway.order_book(usable[0], 5)
    _demand(book.symbol == usable[0], f"the book of {usable[0]} is that of {book.symbol}")
    _demand(len(book.bids) <= 5 and len(book.asks) <= 5, "a book of depth 5 is deeper")
    _demand(book.received_ns >= before, "a book read now was received before it was asked for")


async def check_gateway(make: Callable[[], ExchangeGateway], symbol: str) -> None:
    """Trade the least amount of `symbol` through a gateway from `make`: never run it where orders cost money.

    The account must hold enough of both assets, and the book must hold the least amount on both sides.

    Raises:
        AssertionError: the market data are wrong (`check_market_data`), an order is not accepted, filled, found or
            settled as it must be, or an order that was never sent is found.
    """
    async with make() as gateway:
        await check_market_data(gateway)
        market = next(m for m in await gateway.markets() if m.symbol == symbol)
        fees = await gateway.fees([symbol])
        _demand(fees.fee(symbol) is not None, f"it knows no fee of {symbol}")
        unknown = await gateway.look_up("triarbneversent", symbol)
        _demand(isinstance(unknown, NotFound), f"an order never sent is {unknown!r:.80}")
        for number, side in enumerate(Side):
            await _trade(
                gateway, market, side, f"tricheck{gateway.clock.now_ns() % 10**10}{number}"
            )
        absurd = Order("tricheckabsurd", symbol, Side.BUY, Decimal("1e-12"), Decimal("1e-9"))
        answer = await gateway.submit(absurd)
        rejected = answer.status == SubmissionStatus.REJECTED
        _demand(rejected, f"an order off every step is {answer.status}, not rejected")


async def _trade(gateway: ExchangeGateway, market: Market, side: Side, client_id: str) -> None:
    held = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
    book = await gateway.order_book(market.symbol)
    price = book.against(side)[0].price
    order = Order(client_id, market.symbol, side, least_amount(market, price), price)
    answer = await gateway.submit(order)
    state = _accepted(answer, order)
    _demand(state.is_complete, f"the {side} is {state.status} with {len(state.fills)} fills")
    _demand(state.filled == order.amount, f"the {side} filled {state.filled} of {order.amount}")
    found = await gateway.look_up(client_id, market.symbol)
    same = isinstance(found, OrderState) and found.filled == state.filled and found.is_complete
    _demand(same, f"the {side} is looked up as {found!r:.120}")
    now = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
    with arithmetic():
        for fill in state.fills:
            for asset, change in fill.changes().items():
                held[asset] = held.get(asset, Decimal(0)) + change
    expected = {asset: amount for asset, amount in held.items() if amount}
    _demand(now == expected, f"after the {side} it holds {now}, and its fills say {expected}")


def _accepted(answer: Submission, order: Order) -> OrderState:
    if answer.state is None or answer.status != SubmissionStatus.ACCEPTED:
        raise AssertionError(f"the {order.side} is {answer.status}: {answer.reason}")
    _demand(answer.state.client_id == order.client_id, "it was accepted under another client id")
    return answer.state


def _demand(holds: bool, sentence: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(sentence)
