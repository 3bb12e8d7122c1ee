"""The doctor: whether a configuration could trade where it says, found out without trading."""

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.clock import SystemClock
from triarb.exceptions import GatewayError, SourceError, TriarbError
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.ccxt.armed import fingerprint
from triarb.gateways.ccxt.examining import (
    TESTED,
    ccxt_version,
    clock_offsets,
    key_rights,
    missing_methods,
    steps_told,
    try_order,
)
from triarb.gateways.ccxt.instances import exchange_class
from triarb.gateways.ccxt.orders import FINDS_BY_CLIENT_ID
from triarb.gateways.ccxt.quotes import quotes_method
from triarb.ledger import default_path
from triarb.market.fees import FeeSchedule
from triarb.model import Balance, Examined, Market, Order, Side, TimeInForce
from triarb.money import plain, round_up
from triarb.operations.checks import Check, Verdict, failed, not_told, ok, warning
from triarb.operations.config import TradingConfig
from triarb.operations.digest import digest
from triarb.operations.ledger_checks import examine_ledger
from triarb.operations.parts import Connect, choose_mode

QUESTIONS: Final = 5
"""How often the exchange's time is asked for; the median counts."""

MAX_OFFSET_MS: Final = 1000
"""How far the clocks may be apart: Binance takes nothing from further ahead."""

WARN_OFFSET_MS: Final = 250
MAX_HALF_TRIP_MS: Final = 500
"""Half of how long an answer takes is how inexact the offset is; beyond this it says nothing."""

FEW_CYCLES: Final = 100
"""So many cycles that the fee token lasts for are few."""


@attrs.frozen
class Examination:
    """What the doctor found.

    Attributes:
        mode: what was examined: paper, sandbox or live.
        checks: in the order in which they were made.
    """

    mode: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of those that failed."""
        return tuple(check.name for check in self.checks if check.verdict is Verdict.FAILED)


@attrs.frozen(kw_only=True)
class Patient:
    """What is examined, connected."""

    config: TradingConfig
    mode: str
    gateway: CcxtGateway
    markets: dict[str, Market]

    @property
    def here(self) -> list[Market]:
        """The active markets of the start asset."""
        start = self.config.start
        return [m for m in self.markets.values() if m.active and start in (m.base, m.quote)]


async def examine(config: TradingConfig, *, connect: Connect = CcxtGateway) -> Examination:
    """Examine a configuration, and journal in its ledger whether it passed, which is also what tries the ledger.

    A check that cannot be carried out failed. What an exchange, or a testnet, has no way to tell is "not told".
    `connect` is as in `Parts.of`.

    Raises:
        SecretError: a key cannot be had, or not safely.
    """
    mode = "live" if config.live else choose_mode(config)[0]
    credentials = None if mode == "paper" else config.credentials()
    checks = [_ccxt(config), _look_up(config, mode)]
    gateway = None
    try:
        gateway = connect(config.exchange, credentials=credentials, sandbox=mode == "sandbox")
    except TriarbError as error:
        checks.append(_refused("exchange", error))
    if gateway is not None:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(gateway)
                found = {market.symbol: market for market in await gateway.markets()}
            except TriarbError as error:
                checks.append(_refused("exchange", error))
            else:
                patient = Patient(config=config, mode=mode, gateway=gateway, markets=found)
                checks += [check async for check in _connected(patient)]
    key = "" if credentials is None else fingerprint(config.exchange, credentials)
    wrong = tuple(check.name for check in checks if check.verdict is Verdict.FAILED)
    path = config.ledger or default_path(config.exchange, mode, config.account)
    record = Examined(SystemClock().now_ns(), digest(config, mode), config.account, key, wrong)
    checks += await examine_ledger(path, record)
    return Examination(mode, tuple(checks))


async def _connected(patient: Patient) -> AsyncIterator[Check]:
    steps: tuple[tuple[str, Callable[[Patient], Awaitable[Check]]], ...] = (
        ("clock", _clock),
        ("markets", _markets),
        ("fees", _fees),
        ("balances", _balances),
        ("fee token", _fee_token),
        ("key", _key),
        ("test order", _test_order),
    )
    for name, step in steps:
        try:
            yield await step(patient)
        except TriarbError as error:
            yield _refused(name, error)


def _refused(name: str, error: TriarbError) -> Check:
    return failed(name, error.message, error.hint)


def _ccxt(config: TradingConfig) -> Check:
    text, version = ccxt_version()
    low, high = (".".join(map(str, tested)) for tested in TESTED)
    try:
        lacking = missing_methods(exchange_class(config.exchange))
    except SourceError as error:
        return _refused("ccxt", error)
    if lacking:
        return failed("ccxt", f"{text} lacks {', '.join(lacking)}", f"install {low} to {high}")
    if version < TESTED[0]:
        return failed("ccxt", f"{text} is older than {low}", f"install {low} to {high}")
    if version > TESTED[1]:
        return warning("ccxt", f"{text}; tested with {low} to {high}", f"install {high}, or test")
    return ok("ccxt", text)


def _look_up(config: TradingConfig, mode: str) -> Check:
    if config.exchange in FINDS_BY_CLIENT_ID:
        return ok("lost orders", "found again by our ids")
    saw = f"ccxt cannot find an order on {config.exchange} by our id"
    if mode == "paper":
        return warning("lost orders", saw, "trade here on paper only")
    return failed("lost orders", saw, "choose another exchange, or paper")


async def _clock(patient: Patient) -> Check:
    line = patient.gateway.lines[0]
    asked = await clock_offsets(line, patient.gateway.clock, QUESTIONS)
    if asked is None:
        return not_told("clock", "the exchange has no time to ask for")
    return judge_clock(asked)


def judge_clock(asked: list[tuple[float, float]]) -> Check:
    """What offsets and round trips in milliseconds say of the clock."""
    offset = statistics.median(offset for offset, _ in asked)
    half = statistics.median(trip for _, trip in asked) / 2
    saw = f"{offset:+.0f} ms, exact to {half:.0f} ms"
    if half > MAX_HALF_TRIP_MS:
        return failed("clock", f"{saw}: answers take too long to tell", "be nearer to the exchange")
    if abs(offset) + half > MAX_OFFSET_MS:
        return failed("clock", saw, "set this machine's clock, and keep it set (NTP)")
    if abs(offset) + half > WARN_OFFSET_MS:
        return warning("clock", saw, "keep this machine's clock set (NTP)")
    return ok("clock", saw)


async def _markets(patient: Patient) -> Check:
    markets, here = patient.markets, patient.here
    whole = sum(1 for _ in steps_told(markets))
    bad = len(patient.gateway.malformed)
    saw = (
        f"{len(markets)} spot, {len(here)} of {patient.config.start}, steps and minimums of {whole}"
    )
    if bad:
        saw += f"; {bad} make no sense"
    if len(here) < 2:
        return failed("markets", saw, "choose a start asset that cycles can begin and end in")
    quotes_method(patient.gateway.lines[0].instance)
    if bad or whole < sum(market.active for market in markets.values()):
        return warning("markets", saw, "deny those without, or leave them: they are checked less")
    return ok("markets", saw)


async def _fees(patient: Patient) -> Check:
    if patient.mode == "paper" and patient.config.fee_bps is not None:
        fees = FeeSchedule.flat(patient.config.fee_bps)
        symbols = list(patient.markets)
    else:
        symbols = [market.symbol for market in patient.here][:QUESTIONS]
        fees = await patient.gateway.fees(symbols)
    known = fees.provenances(symbols)
    rates = sorted({fee.rate * 10_000 for s in symbols if (fee := fees.fee(s)) is not None})
    if not known:
        return failed("fees", "no market's fee is known", "state fee_bps on paper, or use keys")
    span = " to ".join(dict.fromkeys((plain(rates[0]), plain(rates[-1]))))
    saw = f"{span} bps, by {', '.join(f'{name} ({n})' for name, n in sorted(known.items()))}"
    if patient.mode != "paper" and set(known) != {"account"}:
        return warning("fees", saw, "the account's own are not told: compare with its fee page")
    return ok("fees", saw)


async def _balances(patient: Patient) -> Check:
    if patient.mode == "paper":
        return ok("balances", f"paper: {', '.join(map(str, patient.config.balance))}")
    start, wanted = patient.config.start, patient.config.max_notional
    free = (await patient.gateway.balances()).get(start, Balance(Decimal(0))).free
    saw = f"{plain(free)} {start} free"
    if free <= 0:
        return failed("balances", saw, f"put some {start} there")
    if wanted.currency == start and free < wanted.amount:
        return warning("balances", saw, f"less than max_notional, {wanted}")
    return ok("balances", saw)


async def _fee_token(patient: Patient) -> Check:
    if patient.mode == "paper":
        return not_told("fee token", "paper pays without one")
    symbols = [market.symbol for market in patient.here][:1]
    fee = (await patient.gateway.fees(symbols)).fee(symbols[0]) if symbols else None
    if fee is None or fee.token is None:
        return ok("fee token", "the account pays without one")
    token, config = fee.token.asset, patient.config
    held = (await patient.gateway.balances()).get(token, Balance(Decimal(0))).free
    market = patient.markets.get(f"{token}/{config.start}")
    if market is None or config.max_notional.currency != config.start:
        return not_told(
            "fee token", f"{plain(held)} {token}; no {token}/{config.start} to value it"
        )
    book = await patient.gateway.order_book(market.symbol, 5)
    if not book.asks:
        return not_told("fee token", f"{plain(held)} {token}; nobody offers it now")
    one = Fraction(config.max_notional.amount) * Fraction(fee.token.rate) * config.max_legs
    cycles = int(Fraction(held) * Fraction(book.asks[0].price) / one) if one else FEW_CYCLES
    saw = f"{plain(held)} {token} pay for {cycles} cycles of {config.max_notional}"
    if cycles < FEW_CYCLES:
        return warning("fee token", saw, f"buy {token}: without it each leg costs the full fee")
    return ok("fee token", saw)


async def _key(patient: Patient) -> Check:
    line = patient.gateway.lines[1]
    if line is None:
        return not_told("key", "paper needs none")
    try:
        rights = await key_rights(line)
    except GatewayError as error:
        if error.code != "gateway.unsupported":
            raise
        rights = None
    if rights is None:
        hint = "see at the exchange that it cannot withdraw, and works from your address only"
        return not_told("key", "what it may do is not told", hint)
    if rights.withdraw is None:
        return failed("key", "the exchange's word on what it may do is unreadable", "ask again")
    if rights.withdraw:
        return failed("key", "it can withdraw", "make one that can only read and trade spot")
    if rights.trade is False:
        return failed("key", "it cannot trade spot", "allow it to")
    if rights.one_address is False:
        return warning("key", "works from any address", "restrict it to this machine's address")
    return ok("key", "trades, cannot withdraw, works from named addresses only")


async def _test_order(patient: Patient) -> Check:
    line = patient.gateway.lines[1]
    if line is None:
        return not_told("test order", "paper sends none")
    buys = [m for m in patient.here if m.quote == patient.config.start]
    if not buys:
        return not_told("test order", f"nothing is bought with {patient.config.start}")
    market = buys[0]
    book = await patient.gateway.order_book(market.symbol, 5)
    if not book.asks:
        return not_told("test order", f"nobody offers {market.base} now")
    order = smallest_order(market, book.asks[0].price)
    if order is None:
        return not_told("test order", f"{market.symbol} tells no minimum")
    if not await try_order(line, market, order):
        return not_told("test order", "the exchange has no way to validate one")
    return ok("test order", f"to buy {plain(order.amount)} {market.base}: it would be taken")


def smallest_order(market: Market, price: Decimal) -> Order | None:
    """An order to buy at `price` that is a little above the market's minimums; None where it tells none."""
    least = [market.min_amount or Decimal(0)]
    if market.min_notional:
        ratio = Fraction(market.min_notional) * Fraction(11, 10) / Fraction(price)
        least.append(Decimal(f"{-(-ratio * 10**18 // 1)}E-18"))
    amount = round_up(max(least), market.amount_step)
    if not amount:
        return None
    return Order("triarb-doctor", market.symbol, Side.BUY, amount, price, TimeInForce.IOC)
