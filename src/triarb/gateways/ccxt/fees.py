"""What an exchange takes, as far as it or ccxt tells. Each fee says in its note where its numbers come from."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from triarb.exceptions import GatewayError, GatewayUnavailable, SourceError
from triarb.gateways.ccxt.instances import exchange_class
from triarb.gateways.ccxt.line import NONSENSE, Line
from triarb.gateways.ccxt.sandboxes import in_sandbox
from triarb.market.fees import FeeSchedule
from triarb.market.unified import exact
from triarb.market.venue_fees import UNTOLD, VENUE_FEES
from triarb.model import Fee, FeeSide, Provenance
from triarb.money import ONE, ZERO, arithmetic, to_decimal

MAX_QUESTIONS: Final = 50
"""For how many markets an exchange that tells of one at a time is asked."""

_FEE_SIDES = {"get": FeeSide.RECEIVED, "give": FeeSide.GIVEN, "quote": FeeSide.QUOTE}

_COMMISSIONS = ("standardCommission", "specialCommission", "taxCommission")
_BEYOND_REASON = Decimal("0.1")


def published_taker_fee(exchange: str) -> Fee | None:
    """What ccxt's table, or else ours, says that a new customer of `exchange` pays as a taker on spot; None where neither does.

    A rate of 10 % or more is a slip in that table (weex), and a list of tiers is no rate (p2b): neither is told.
    """
    try:
        instance = exchange_class(exchange)()
    except SourceError:
        return None
    table = instance.fees.get("trading") or {}
    return _scheduled(exchange, table.get("taker"), table.get("feeSide"))


def scheduled_fees(exchange: Any, symbols: Iterable[str], why: str = "") -> dict[str, Fee]:
    """What ccxt's tables say of `symbols`, without those that they do not tell of."""
    result = {}
    for symbol in symbols:
        market = exchange.markets.get(symbol)
        if market is None:  # gone since, by an answer that made no sense in other respects
            continue
        fee = _scheduled(exchange.id, market.get("taker"), market.get("feeSide"), why)
        if fee is not None:
            result[symbol] = fee
    return result


async def told_fees(
    data: Line, account: Line | None, symbols: Collection[str], *, all_of_them: bool
) -> FeeSchedule:
    """What the account pays on `symbols`, where the exchange tells it; else what ccxt's table says of a new customer.

    Args:
        data: whose instance's table it is.
        account: to the trading instance; None without credentials.
        symbols: those that are wanted.
        all_of_them: whether these are all markets, which are then not asked for one by one.
    """
    own: dict[str, Fee] = {}
    why, token = "", None
    if account is not None:
        own, why = await account_fees(account, None if all_of_them else symbols)
    missing = [symbol for symbol in symbols if symbol not in own]
    told = FeeSchedule(own | scheduled_fees(data.instance, missing, why))
    if account is not None and all_of_them:
        token = await account_token(account)
    return told if token is None else told.paid_in(*token)


async def account_fees(line: Line, symbols: Collection[str] | None) -> tuple[dict[str, Fee], str]:
    """What the exchange says that this account pays, and, where it does not say, why not.

    One request tells of all markets where there is such a thing. Where there is not, the markets are asked for one by
    one, if they are named and at most `MAX_QUESTIONS`.

    Args:
        line: to the trading instance, its markets loaded.
        symbols: those that are wanted; None is all.

    Raises:
        GatewayUnavailable: no answer.
    """
    exchange = line.instance
    is_binance = exchange.id == "binance"
    single = is_binance or exchange.has.get("fetchTradingFee") is True
    # Binance's one request for all (sapi) knows neither taxes nor special rates, and its testnet has no sapi.
    at_once = exchange.has.get("fetchTradingFees") is True
    try:
        named = symbols is not None and len(symbols) <= MAX_QUESTIONS
        if symbols is not None and named and single and (is_binance or not at_once):
            return {symbol: await _one(line, symbol) for symbol in symbols}, ""
        if at_once and not (is_binance and in_sandbox(exchange)):
            told = await line.ask("its fees", "fetch_trading_fees")
            return _from_table(exchange, told, symbols), ""
    except GatewayUnavailable:
        raise
    except GatewayError as error:
        return {}, f"the account's own could not be read: {error.code}"
    except NONSENSE as error:
        return {}, f"the account's own made no sense: {error!r}"
    if single:
        return {}, f"name at most {MAX_QUESTIONS} markets to have the account's own"
    return {}, "the exchange does not tell the account's own"


async def account_token(line: Line) -> tuple[str, Decimal] | None:
    """The token that the account pays fees in, and the part of a fee that it then pays; None where it does not, or cannot be asked.

    By one market's commission (Binance), for nominations: a nominated market is asked for by name before it is priced.

    Raises:
        GatewayUnavailable: no answer.
    """
    exchange = line.instance
    symbol = next((s for s, market in exchange.markets.items() if market.get("spot")), None)
    if exchange.id != "binance" or symbol is None:
        return None
    try:
        fee = await _one(line, symbol)
    except GatewayUnavailable:
        raise
    except (GatewayError, *NONSENSE):
        return None
    if fee.token is None or not fee.rate:
        return None
    return fee.token.asset, to_decimal(Fraction(fee.token.rate) / Fraction(fee.rate))


async def _one(line: Line, symbol: str) -> Fee:
    exchange, what = line.instance, f"its fee for {symbol}"
    if exchange.id != "binance":
        told = await line.ask(what, "fetch_trading_fee", symbol)
        return _of_account(exchange, symbol, _rate(told.get("taker")))
    request = {"symbol": exchange.markets[symbol]["id"]}
    told = await line.ask(what, "private_get_account_commission", request)
    with arithmetic():
        parts = [{k: _rate(v) for k, v in told[name].items()} for name in _COMMISSIONS]
        rates = [p["taker"] + max(p["buyer"], p["seller"]) for p in parts]
        rate = sum(rates, ZERO)
    fee = _of_account(exchange, symbol, rate)
    discount = told.get("discount") or {}
    paid_in = discount.get("enabledForAccount") and discount.get("enabledForSymbol")
    if not paid_in or not discount.get("discountAsset"):
        return fee
    with arithmetic():
        less = rates[0] * (_charged(discount.get("discount")) - ONE)  # off the standard part only
        fee = fee.payable_in(str(discount["discountAsset"]), rate + less)
    return attrs.evolve(fee, note=f"less where paid in {discount['discountAsset']}")


def _charged(discount: Any) -> Decimal:
    """The part of a fee that is charged in the token.

    Binance's own pages call 0.25 and 0.75 the discount of the same 25 % off: the dearer reading holds. None is none.
    """
    told = ZERO if discount is None else _rate(discount)
    if not 0 <= told <= 1:
        raise ValueError(f"a discount of {told}")
    return max(told, ONE - told)


def _from_table(
    exchange: Any, told: Mapping[str, Any], symbols: Collection[str] | None
) -> dict[str, Fee]:
    wanted = exchange.markets if symbols is None else symbols
    rates = {s: told[s].get("taker") for s in wanted if s in told}
    return {s: _of_account(exchange, s, _rate(r)) for s, r in rates.items() if r is not None}


def _rate(value: Any) -> Decimal:
    rate = exact(value)
    if rate is None:
        raise ValueError("a fee is not told")
    return rate


def _of_account(exchange: Any, symbol: str, rate: Decimal) -> Fee:
    charged_in, unproven = _charged_in(exchange.id, exchange.markets[symbol].get("feeSide"))
    return Fee(rate, Provenance.ACCOUNT, charged_in, unproven)


def _scheduled(exchange: str, taker: Any, fee_side: str | None, why: str = "") -> Fee | None:
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    where = f"ccxt {ccxt.__version__}'s table"
    venue = VENUE_FEES.get(exchange)
    if taker is None and venue is not None:
        taker, where = venue.taker, f"a rate of {venue.dated}"
    if taker is None or isinstance(taker, list | dict):
        return None
    try:
        rate = exact(taker)
    except ValueError:
        return None
    if rate is None or abs(rate) >= _BEYOND_REASON:
        return None
    charged_in, unproven = _charged_in(exchange, fee_side)
    notes = (where, unproven, why)
    return Fee(rate, Provenance.SCHEDULE, charged_in, "; ".join(text for text in notes if text))


def _charged_in(exchange: str, fee_side: str | None) -> tuple[FeeSide, str]:
    """The asset that a fee is taken in, and where ccxt does not tell it, the mark of who does."""
    told = _FEE_SIDES.get(fee_side or "")
    if told is not None:
        return told, ""
    venue = VENUE_FEES.get(exchange, UNTOLD)
    return venue.charged_in, venue.note
