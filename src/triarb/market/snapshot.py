"""Snapshot: one exchange's spot markets with their best bids and asks at one instant, as a JSON file.

The file is an object with `exchange`, `timestamp` (ISO 8601), optionally `taker_fee` (a fraction), `volumes`
(``"top"``, or ``"aggregate"`` where sizes are sums over levels), `source` (anything; ``"generated"`` is shown wherever
the snapshot is used), and `markets`: objects with `symbol`, `base`, `quote`, `bid`, `ask`, and optionally `bidVolume`,
`askVolume`, `active`, `id`, `timestamp`, `taker`, and the limits `tickSize`, `stepSize`, `minQty`, `maxQty`,
`minNotional`, `maxNotional`, `minFunds`, `maxFunds`, `minPrice`, `maxPrice`. Numbers may be JSON numbers or strings;
both are read from their text.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import attrs

from triarb.clock import NS_PER_MS, iso, parse_iso
from triarb.exceptions import SourceError
from triarb.market.fees import FeeSchedule
from triarb.market.unified import market_from_ccxt, quote_from_ccxt
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
            _refuse(
                "source.missing", f"there is no file {path}", "name a snapshot file that exists"
            )
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            _refuse("source.unreadable", f"{path} cannot be read: {reason}", "name a snapshot file")
        try:
            data = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
        except (json.JSONDecodeError, ValueError, RecursionError) as error:
            _refuse("source.not_json", f"{path} is not JSON: {error}", "save the snapshot again")
        return cls._from_json(data, str(path))

    @classmethod
    def _from_json(cls, data: Any, where: str) -> Self:
        if not isinstance(data, dict) or not isinstance(data.get("markets"), list):
            _refuse("source.invalid", f'{where} has no list "markets"', _SHAPE)
        try:
            timestamp_ns = parse_iso(data["timestamp"])
        except (KeyError, TypeError, ValueError):
            told = repr(data["timestamp"]) if "timestamp" in data else "missing"
            _refuse("source.invalid", f'{where}: "timestamp" is {told}', "give it as ISO 8601")
        exchange = data.get("exchange")
        if not isinstance(exchange, str) or not exchange:
            _refuse("source.invalid", f'{where}: "exchange" is missing', "name the exchange")
        volumes = data.get("volumes", "top")
        if volumes not in ("top", "aggregate"):
            _refuse(
                "source.invalid", f'{where}: "volumes" is {volumes!r}', 'say "top" or "aggregate"'
            )
        markets, quotes, seen = [], [], set()
        for index, entry in enumerate(data["markets"]):
            place = f"{where}: markets[{index}]"
            if not isinstance(entry, dict):
                _refuse("source.invalid", f"{place} is not an object", _SHAPE)
            for key in _REQUIRED:
                if key not in entry:
                    _refuse("source.invalid", f'{place} has no "{key}"', f"add it to {entry!r:.80}")
            place += f" ({entry['symbol']})"
            market, quote = _entry(entry, place, timestamp_ns)
            if market.symbol in seen:
                _refuse("source.invalid", f"{place} is there twice", "keep one of the two")
            seen.add(market.symbol)
            markets.append(market)
            quotes.append(quote)
        source = data.get("source", "")
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
    ) -> Self:
        """A snapshot of what ccxt's `load_markets` and `fetch_tickers` (or `fetch_bids_asks`) returned.

        Only spot markets are taken; one whose data make no sense is taken as inactive, which refuses it by name.
        """
        taken, quotes = [], []
        for symbol, raw in markets.items():
            if not raw.get("spot"):
                continue
            market = market_from_ccxt(raw)
            taken.append(market)
            quotes.append(
                quote_from_ccxt(symbol, tickers.get(symbol, {}), received_ns=timestamp_ns)
            )
        return cls(exchange, timestamp_ns, tuple(taken), tuple(quotes), source="ccxt")

    def save(self, path: str | Path) -> None:
        """Write it as a file that `load` reads back equal."""
        Path(path).write_text(json.dumps(self._to_json(), indent=1) + "\n", encoding="utf-8")

    def _to_json(self) -> dict[str, Any]:
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


def _refuse(code: str, message: str, hint: str) -> NoReturn:
    raise SourceError(message, code=code, hint=hint) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not a JSON number")


def _number(entry: Mapping[str, Any], key: str, place: str) -> Decimal | None:
    value = entry.get(key)
    if value is None:
        return None
    try:
        number = parse_decimal(value)
    except ValueError as error:
        _refuse("source.invalid", f'{place}: "{key}" {error}', "give a finite number")
    if number < 0:
        _refuse("source.invalid", f'{place}: "{key}" is {value}, below zero', "correct it")
    return number


def _fraction(entry: Mapping[str, Any], key: str, place: str) -> Decimal | None:
    value = entry.get(key)
    if value is None:
        return None
    try:
        number = parse_decimal(value)
    except ValueError as error:
        _refuse("source.invalid", f'{place}: "{key}" {error}', "give a fraction, such as 0.001")
    if abs(number) >= Decimal("0.1"):
        _refuse(
            "source.invalid",
            f'{place}: "{key}" is {value}, a fee of 10 % or more',
            "fees are fractions: 0.001 is 0.1 %",
        )
    return number


def _entry(entry: Mapping[str, Any], place: str, timestamp_ns: int) -> tuple[Market, Quote]:
    for key in ("symbol", "base", "quote"):
        if not isinstance(entry[key], str) or not entry[key]:
            _refuse("source.invalid", f'{place}: "{key}" is {entry[key]!r}', "give a name")
    if entry["base"] == entry["quote"]:
        _refuse("source.invalid", f"{place}: base and quote are both {entry['base']}", "correct it")
    active = entry.get("active", True)
    if not isinstance(active, bool):
        _refuse("source.invalid", f'{place}: "active" is {active!r}', "say true or false")
    limits = {name: _number(entry, key, place) for key, name in _LIMITS.items()}
    for key, name, pick in (("minFunds", "min_notional", max), ("maxFunds", "max_notional", min)):
        told = [n for n in (limits[name], _number(entry, key, place)) if n is not None]
        limits[name] = pick(told) if told else None
    market = Market(
        entry["symbol"],
        entry["base"],
        entry["quote"],
        exchange_id=str(entry.get("id", "")),
        active=active,
        taker=_fraction(entry, "taker", place),
        **{name: number or None for name, number in limits.items()},
    )
    quote = Quote(
        entry["symbol"],
        _number(entry, "bid", place),
        _number(entry, "ask", place),
        _number(entry, "bidVolume", place),
        _number(entry, "askVolume", place),
        timestamp_ns,
        _moment(entry, place),
    )
    return market, quote


def _moment(entry: Mapping[str, Any], place: str) -> int | None:
    value = entry.get("timestamp")
    try:
        if value is None:
            return None
        return parse_iso(value) if isinstance(value, str) else int(value) * NS_PER_MS
    except (TypeError, ValueError, OverflowError):
        _refuse("source.invalid", f'{place}: "timestamp" is {value!r}', "give ISO 8601 or ms")


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
