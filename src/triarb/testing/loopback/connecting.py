"""How a ccxt instance that somebody else made is led to a loopback exchange."""

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from triarb.clock import NS_PER_MS, Clock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback.session import HOSTS, LoopbackSession, foreign

_SPOT_ONLY = {
    "fetchMarkets": {"types": ["spot"]},
    "fetchCurrencies": False,
    "fetchMargins": False,
}


class LoopbackAdapter(HTTPAdapter):
    """What `LoopbackSession` is to aiohttp, for a `requests.Session`: mount it for ``https://`` and ``http://``.

    Args:
        port: where the loopback exchange listens on 127.0.0.1.
        hosts: the hosts that it stands in for.
    """

    def __init__(self, port: int, hosts: Collection[str] = HOSTS) -> None:
        super().__init__()
        self._port = port
        self._hosts = frozenset(hosts)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request; its `Host` header keeps the host that was meant.

        Raises:
            TradingRefused: `loopback.foreign_host`.
        """
        meant = urlsplit(request.url)
        if meant.hostname not in self._hosts:
            raise foreign(request.method, meant.hostname)
        request.url = meant._replace(scheme="http", netloc=f"127.0.0.1:{self._port}").geturl()
        request.headers["Host"] = meant.hostname
        return super().send(request, *args, **kwargs | {"proxies": None})


def connect(
    instance: Any,
    port: int,
    credentials: Credentials,
    clock: Clock,
    session_factory: Callable[[], LoopbackSession],
) -> None:
    """Lead a ccxt binance, synchronous or not, to a port of this machine.

    Raises:
        UsageError: it is another exchange.
    """
    import ccxt  # noqa: PLC0415 - slow to import
    import ccxt.async_support  # noqa: PLC0415

    known = isinstance(instance, ccxt.binance | ccxt.async_support.binance)
    if not known or instance.id != "binance":
        raise UsageError(
            f"{type(instance).__module__}.{type(instance).__name__} is no binance of ccxt",
            hint="the loopback exchange speaks Binance's protocol only",
        )
    instance.apiKey, instance.secret = credentials.key, credentials.secret
    instance.options |= _SPOT_ONLY
    instance.milliseconds = lambda: clock.now_ns() // NS_PER_MS
    if isinstance(instance, ccxt.async_support.binance):
        # ccxt would make a TLS context on opening, and wait on closing, for a session of its own.
        instance.ssl_context, instance.timeout_on_exit = True, 0
        instance.session, instance.own_session = session_factory(), True
    else:
        instance.session = requests.Session()
        for scheme in ("https://", "http://"):
            instance.session.mount(scheme, LoopbackAdapter(port))
