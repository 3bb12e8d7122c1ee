"""Snapshot: one exchange's spot markets with their best bids and asks at one instant, as a JSON file.

The file is an object with `exchange`, `timestamp` (ISO 8601), optionally `taker_fee` (a fraction), `volumes`
(``"top"``, or ``"aggregate"`` where sizes are sums over levels), `source` (anything; ``"generated"`` is shown wherever
the snapshot is used), and `markets`: objects with `symbol`, `base`, `quote`, `bid`, `ask`, and optionally `bidVolume`,
`askVolume`, `active`, `id`, `timestamp`, `taker`, and the limits `tickSize`, `stepSize`, `minQty`, `maxQty`,
`minNotional`, `maxNotional`, `minFunds`, `maxFunds`, `minPrice`, `maxPrice`. Numbers may be JSON numbers or strings;
both are read from their text.
"""

import decimal
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import attrs

from triarb.clock import NS_PER_MS, iso, parse_iso
from triarb.exceptions import SourceError
from triarb.market.fees import FeeSchedule
from triarb.market.unified import TICK_SIZE, market_from_ccxt, quote_from_ccxt
from triarb.model import Fee, Market, Provenance, Quote
from triarb.money import parse_decimal, plain

_LIMITS = {  # key in the file -> attribute of Market
    "tickSize": "price_tick",
    "stepSize": "amount_step",
    "minQty": "min_amount",
    "maxQty": "max_amount",
    "minNotional": "min_notional",
    "maxNotional": "max_notional",
    "minPrice": "min_price",
    "maxPrice": "max_price",
}
_REQUIRED = ("symbol", "base", "quote", "bid", "ask")


@attrs.frozen
class Snapshot:
    """One exchange at one instant.

    Attributes:
        timestamp_ns: the instant; each quote's `received_ns` is it.
        markets: in the order of the file.
        quotes: one a market, in the same order, as recorded: one-sided, locked and crossed ones are kept.
        taker_fee: one fee for all markets that state none of their own, as a fraction.
        volumes: whether sizes are those of the best level, or sums over several.
        source: where the data come from, in words.
    """

    exchange: str
    timestamp_ns: int
    markets: tuple[Market, ...]
    quotes: tuple[Quote, ...]
    taker_fee: Decimal | None = None
    volumes: Literal["top", "aggregate"] = "top"
    source: str = ""

    @property
    def generated(self) -> bool:
        """Whether no real exchange ever showed these prices."""
        return self.source.startswith("generated")

    def fees(self) -> FeeSchedule:
        """What the snapshot itself says of fees: the markets' own, then the file's one."""
        otherwise = None
        if self.taker_fee is not None:
            otherwise = Fee(self.taker_fee, Provenance.FILE)
        return FeeSchedule.stated(self.markets, otherwise)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a snapshot file.

        Raises:
            SourceError: it is not there, not JSON, or something in it is missing or makes no sense; names the place.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            refuse("source.missing", f"there is no file {path}", "name a snapshot file that exists")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            refuse("source.unreadable", f"{path} cannot be read: {reason}", "name a snapshot file")
        try:
            data = parse_json(text)
        except ValueError as error:
            refuse("source.not_json", f"{path} is not JSON: {error}", "save the snapshot again")
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: Any, where: str) -> Self:
        """A snapshot out of what `parse_json` made of its text; `where` is what errors call that text.

        Raises:
            SourceError: something in it is missing or makes no sense; names the place.
        """
        if not isinstance(data, dict) or not isinstance(data.get("markets"), list):
            refuse("source.invalid", f'{where} has no list "markets"', _SHAPE)
        try:
            timestamp_ns = parse_iso(data["timestamp"])
        except (KeyError, TypeError, ValueError):
            told = repr(data["timestamp"]) if "timestamp" in data else "missing"
            refuse("source.invalid", f'{where}: "timestamp" is {told}', "give it as ISO 8601")
        exchange = data.get("exchange")
        if not isinstance(exchange, str) or not exchange:
            told = repr(exchange) if "exchange" in data else "missing"
            refuse("source.invalid", f'{where}: "exchange" is {told}', "name the exchange")
        volumes = data.get("volumes", "top")
        if volumes not in ("top", "aggregate"):
            refuse(
                "source.invalid", f'{where}: "volumes" is {volumes!r}', 'say "top" or "aggregate"'
            )
        markets, quotes, seen = [], [], set()
        for index, entry in enumerate(data["markets"]):
            place = f"{where}: markets[{index}]"
            if not isinstance(entry, dict):
                refuse("source.invalid", f"{place} is not an object", _SHAPE)
            for key in _REQUIRED:
                if key not in entry:
                    refuse("source.invalid", f'{place} has no "{key}"', f"add it to {entry!r:.80}")
            place += f" ({entry['symbol']})"
            market, quote = _entry(entry, place, timestamp_ns)
            if market.symbol in seen:
                refuse("source.invalid", f"{place} is there twice", "keep one of the two")
            seen.add(market.symbol)
            markets.append(market)
            quotes.append(quote)
        source = data.get("source") or ""
        return cls(
            exchange,
            timestamp_ns,
            tuple(markets),
            tuple(quotes),
            _fraction(data, "taker_fee", where),
            volumes,
            source if isinstance(source, str) else json.dumps(source, default=str),
        )

    @classmethod
    def from_ccxt(
        cls,
        markets: Mapping[str, Mapping[str, Any]],
        tickers: Mapping[str, Mapping[str, Any]],
        *,
        exchange: str,
        timestamp_ns: int,
        precision_mode: int = TICK_SIZE,
    ) -> Self:
        """A snapshot of what ccxt's `load_markets` and `fetch_tickers` (or `fetch_bids_asks`) returned.

        `precision_mode` is the exchange object's `precisionMode`. Fees are not taken over: ccxt tells its own table's.
        Only spot markets are taken; one whose data make no sense is taken as inactive, so that it is refused and
        counted, and one that does not even name two assets is left out.
        """
        taken, quotes = [], []
        for symbol, raw in markets.items():
            if not raw.get("spot"):
                continue
            try:
                market = market_from_ccxt(raw, precision_mode=precision_mode)
            except (AttributeError, KeyError, TypeError, ValueError):
                base, quote = raw.get("base"), raw.get("quote")
                if not base or not quote or base == quote:
                    continue
                market = Market(symbol, base, quote, active=False)
            taken.append(market)
            quotes.append(
                quote_from_ccxt(symbol, tickers.get(symbol) or {}, received_ns=timestamp_ns)
            )
        return cls(exchange, timestamp_ns, tuple(taken), tuple(quotes), source="ccxt")

    def save(self, path: str | Path) -> None:
        """Write it as a file that `load` reads back equal."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """It as an object for a JSON file, numbers as text; times to the microsecond."""
        result: dict[str, Any] = {"exchange": self.exchange, "timestamp": iso(self.timestamp_ns)}
        if self.taker_fee is not None:
            result["taker_fee"] = plain(self.taker_fee)
        result["volumes"] = self.volumes
        result["source"] = self.source
        result["markets"] = [
            _to_entry(m, q) for m, q in zip(self.markets, self.quotes, strict=True)
        ]
        return result


_SHAPE = "a snapshot is an object with exchange, timestamp and markets"


def refuse(code: str, message: str, hint: str) -> NoReturn:
    """Raise a SourceError that shows no cause beside itself."""
    raise SourceError(message, code=code, hint=hint) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not a JSON number")


def parse_json(text: str) -> Any:
    """What `text` says, its numbers exact.

    Raises:
        ValueError: it is not JSON, or holds NaN or Infinity, or is nested beyond reason.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except decimal.InvalidOperation:
        raise ValueError("it holds a number that no Decimal can hold") from None


def read_number(entry: Mapping[str, Any], key: str, place: str) -> Decimal | None:
    """The number under `key`, from its text; None where there is none.

    Raises:
        SourceError: not a number, not finite, or below zero; names `place`.
    """
    value = entry.get(key)
    if value is None:
        return None
    try:
        number = parse_decimal(value)
    except ValueError as error:
        refuse("source.invalid", f'{place}: "{key}" {error}', "give a finite number")
    if number < 0:
        refuse("source.invalid", f'{place}: "{key}" is {value}, below zero', "correct it")
    return number


def _fraction(entry: Mapping[str, Any], key: str, place: str) -> Decimal | None:
    value = entry.get(key)
    if value is None:
        return None
    try:
        number = parse_decimal(value)
    except ValueError as error:
        refuse("source.invalid", f'{place}: "{key}" {error}', "give a fraction, such as 0.001")
    if abs(number) >= Decimal("0.1"):
        refuse(
            "source.invalid",
            f'{place}: "{key}" is {value}, a fee of 10 % or more',
            "fees are fractions: 0.001 is 0.1 %",
        )
    return number


def _entry(entry: Mapping[str, Any], place: str, timestamp_ns: int) -> tuple[Market, Quote]:
    for key in ("symbol", "base", "quote"):
        if not isinstance(entry[key], str) or not entry[key]:
            refuse("source.invalid", f'{place}: "{key}" is {entry[key]!r}', "give a name")
    if entry["base"] == entry["quote"]:
        refuse("source.invalid", f"{place}: base and quote are both {entry['base']}", "correct it")
    active = entry.get("active", True)
    if not isinstance(active, bool):
        refuse("source.invalid", f'{place}: "active" is {active!r}', "say true or false")
    limits = {name: read_number(entry, key, place) for key, name in _LIMITS.items()}
    for key, name, pick in (("minFunds", "min_notional", max), ("maxFunds", "max_notional", min)):
        told = [n for n in (limits[name], read_number(entry, key, place)) if n is not None]
        limits[name] = pick(told) if told else None
    market = Market(
        entry["symbol"],
        entry["base"],
        entry["quote"],
        exchange_id=str(entry.get("id") or ""),
        active=active,
        taker=_fraction(entry, "taker", place),
        **{name: number or None for name, number in limits.items()},
    )
    quote = Quote(
        entry["symbol"],
        read_number(entry, "bid", place),
        read_number(entry, "ask", place),
        read_number(entry, "bidVolume", place),
        read_number(entry, "askVolume", place),
        timestamp_ns,
        _moment(entry, place),
    )
    return market, quote


def _moment(entry: Mapping[str, Any], place: str) -> int | None:
    value = entry.get("timestamp")
    if value is None:
        return None
    try:
        ns = parse_iso(value) if isinstance(value, str) else int(parse_decimal(value)) * NS_PER_MS
        iso(ns)  # so that it can be saved again
    except (ValueError, OverflowError):
        refuse("source.invalid", f'{place}: "timestamp" is {value!r}', "give ISO 8601 or ms")
    return ns


def _to_entry(market: Market, quote: Quote) -> dict[str, Any]:
    entry: dict[str, Any] = {"symbol": market.symbol, "base": market.base, "quote": market.quote}
    for key, number in (
        ("bid", quote.bid),
        ("bidVolume", quote.bid_size),
        ("ask", quote.ask),
        ("askVolume", quote.ask_size),
    ):
        entry[key] = None if number is None else plain(number)
    entry["active"] = market.active
    entry["id"] = market.exchange_id
    if quote.exchange_ns is not None:
        entry["timestamp"] = iso(quote.exchange_ns)
    if market.taker is not None:
        entry["taker"] = plain(market.taker)
    for key, name in _LIMITS.items():
        number = getattr(market, name)
        if number is not None:
            entry[key] = plain(number)
    return entry
