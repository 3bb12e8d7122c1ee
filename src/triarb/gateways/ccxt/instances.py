"""ccxt's exchange objects, built the way triarb wants them."""

import copy
import difflib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from triarb.clock import NS_PER_MS, Clock, SystemClock
from triarb.exceptions import SourceError, UsageError
from triarb.gateways.ccxt.credentials import Credentials

SessionFactory = Callable[[], Any]
"""Makes what ccxt sends its requests through: an `aiohttp.ClientSession`, or something with its methods and `headers`."""

# What a trading instance takes over from a ready one, beside its options: the way to the exchange, not its addresses, and
# not whether certificates are checked: they are.
_SETTINGS = (
    "aiohttp_proxy",
    "aiohttp_trust_env",
    "cafile",
    "httpProxy",
    "httpsProxy",
    "socksProxy",
    "timeout",
)
_METHODS = frozenset({"delete", "get", "patch", "post", "put"})
_SPOT_ONLY = {"defaultType": "spot", "fetchCurrencies": False, "fetchMargins": False}

# ccxt writes each request, key and signature included, to its log at DEBUG.
_log = logging.getLogger("triarb.gateways.ccxt.instance")
_log.addFilter(lambda record: record.levelno > logging.DEBUG)


class StraightSession:
    """A session that follows no redirect: an answer that points elsewhere is an answer, and proves nothing.

    aiohttp would send an order once more to wherever a 307 points, past every check of where it may go.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        return partial(found, allow_redirects=False) if name in _METHODS else found


def exchange_class(exchange: str) -> Any:
    """The async class of ccxt's for the exchange with that id.

    Raises:
        SourceError: `source.unknown_exchange`.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    if exchange not in ccxt.exchanges:
        close = difflib.get_close_matches(str(exchange).lower(), ccxt.exchanges, n=3)
        raise SourceError(
            f"{exchange!r} is not an exchange that ccxt {ccxt.__version__} knows",
            code="source.unknown_exchange",
            hint=f"did you mean {' or '.join(close)}?" if close else "ccxt.exchanges lists them",
        )
    return getattr(ccxt, exchange)


def check_between(name: str, value: float, least: float, most: float) -> None:
    """Whether a setting is from `least` to `most`.

    Raises:
        UsageError: it is not.
    """
    if not least <= value <= most:
        raise UsageError(f"{name} is {value}", hint=f"give a number from {least} to {most}")


def check_ready(exchange: Any) -> None:
    """Whether a ready instance is one of ccxt's asynchronous ones.

    Raises:
        UsageError: it is not.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    if not isinstance(exchange, ccxt.Exchange):
        raise UsageError(
            f"{type(exchange).__module__}.{type(exchange).__name__} is no asynchronous exchange of ccxt",
            hint='give an id such as "binance", or an instance out of ccxt.async_support',
        )


def data_instance(kind: Any, *, timeout_ms: int) -> Any:
    """An instance that only looks."""
    return _prepared(kind({"timeout": timeout_ms, "logger": _log, "options": dict(_SPOT_ONLY)}))


def trading_instance(
    kind: Any,
    credentials: Credentials,
    *,
    timeout_ms: int,
    recv_window_ms: int,
    like: Any | None,
    clock: Clock,
) -> Any:
    """An instance that acts for an account: nothing sent twice.

    Args:
        kind: ccxt's class.
        credentials: the account's.
        timeout_ms: how long an answer is waited for, unless `like` says so.
        recv_window_ms: how long a request is good for, where ccxt can say that to the exchange.
        like: a ready instance whose settings it takes over.
        clock: tells the times that requests are signed with; a `SystemClock` leaves that to the machine's wall clock,
            which goes on being right after the machine was asleep.

    Raises:
        UsageError: `gateway.credentials` where something of them is missing.
    """
    settings: dict[str, Any] = {"timeout": timeout_ms, "options": {}}
    if like is not None:
        settings |= {name: getattr(like, name) for name in _SETTINGS}
        settings["options"] = _without_retries(copy.deepcopy(like.options))
    settings["options"] |= _SPOT_ONLY
    exchange = _prepared(
        kind(
            settings
            | {
                "apiKey": credentials.key,
                "secret": credentials.secret,
                "password": credentials.password,
                "verbose": False,
                "logger": _log,
            }
        )
    )
    missing = [
        n
        for n, needed in exchange.requiredCredentials.items()
        if needed and not getattr(exchange, n)
    ]
    if missing:
        raise UsageError(
            f"{exchange.id} wants {', '.join(missing)}, which the credentials do not give",
            code="gateway.credentials",
            hint="Credentials hold a key, a secret and a password",
        )
    if "recvWindow" in exchange.options:
        exchange.options["recvWindow"] = recv_window_ms
    if not isinstance(clock, SystemClock):
        exchange.milliseconds = lambda: clock.now_ns() // NS_PER_MS
    return exchange


def use_session(exchange: Any, session: Any) -> None:
    """Let `exchange` send through `session`, which its `close` then leaves open."""
    exchange.session, exchange.own_session = session, False
    # ccxt would make a TLS context on opening, and wait a quarter of a second on closing, for a session of its own.
    exchange.ssl_context, exchange.timeout_on_exit = exchange.verify, 0


def _prepared(exchange: Any) -> Any:
    exchange.number = (
        str  # the wire's own text; with Decimal, ccxt loses the prices and fees of trades
    )
    wanted = exchange.options.get("fetchMarkets")
    types = wanted.get("types") if isinstance(wanted, dict) else None
    if isinstance(types, list) and "spot" in types:
        wanted["types"] = ["spot"]
    elif isinstance(types, dict):
        wanted["types"] = {name: name == "spot" for name in types}
    _keep_straight(exchange)
    return exchange


def _keep_straight(exchange: Any) -> None:
    """Let `exchange` send through sessions that follow no redirect, whoever makes them."""
    open_, proxied = exchange.open, exchange.get_socks_proxy_session

    def opened(*args: Any, **kwargs: Any) -> None:
        open_(*args, **kwargs)
        if not isinstance(exchange.session, StraightSession):
            exchange.session = StraightSession(exchange.session)

    exchange.open = opened
    exchange.get_socks_proxy_session = lambda proxy: StraightSession(proxied(proxy))


def _without_retries(options: Any) -> Any:
    if not isinstance(options, Mapping):
        return options
    return {k: _without_retries(v) for k, v in options.items() if k != "maxRetriesOnFailure"}
