"""LoopbackSession: what a client sends its requests through, so that none leaves this machine."""

from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import aiohttp
import yarl

from triarb.exceptions import TradingRefused

HOSTS = frozenset(
    {
        "api.binance.com",
        "api-gcp.binance.com",
        "api1.binance.com",
        "api2.binance.com",
        "api3.binance.com",
        "api4.binance.com",
        "data-api.binance.vision",
        "testnet.binance.vision",
        "api1.testnet.binance.vision",
    }
)
"""Binance's spot hosts, production and testnet (rest-api.md and testnet/general-info.md of its spot API)."""


def foreign(method: str | None, host: str | None) -> TradingRefused:
    """The refusal to send anything there."""
    return TradingRefused(
        f"the loopback session does not send a {method} to {host}",
        code="loopback.foreign_host",
        hint="it stands in for Binance's spot hosts only, so that no test reaches an exchange",
    )


class LoopbackSession:
    """Stands in for an `aiohttp.ClientSession`: requests for `hosts` go to a port of this machine, all others nowhere.

    No proxy is used, no redirect followed and no cookie kept. Close it when done.

    Args:
        port: where the loopback exchange listens on 127.0.0.1.
        hosts: the hosts that it stands in for.
    """

    def __init__(self, port: int, hosts: Collection[str] = HOSTS) -> None:
        self._port = port
        self._hosts = frozenset(hosts)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent with every request: nothing of its own."""
        return self._session.headers

    @property
    def cookie_jar(self) -> aiohttp.abc.AbstractCookieJar:
        """A jar that keeps nothing."""
        return self._session.cookie_jar

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._session.closed

    def request(self, method: str, url: str | yarl.URL, **kwargs: Any) -> Any:
        """Send a request, as `aiohttp.ClientSession.request` does; its `Host` header keeps the host that was meant.

        Raises:
            TradingRefused: `loopback.foreign_host`.
        """
        meant = yarl.URL(url)
        if meant.host not in self._hosts:
            raise foreign(method, meant.host)
        here = meant.with_scheme("http").with_host("127.0.0.1").with_port(self._port)
        kwargs["headers"] = {**(kwargs.get("headers") or {}), "Host": meant.host}
        kwargs |= {"proxy": None, "allow_redirects": False}
        return self._session.request(method, here, **kwargs)

    def get(self, url: str | yarl.URL, **kwargs: Any) -> Any:
        """Send a GET."""
        return self.request("GET", url, **kwargs)

    def post(self, url: str | yarl.URL, **kwargs: Any) -> Any:
        """Send a POST."""
        return self.request("POST", url, **kwargs)

    def put(self, url: str | yarl.URL, **kwargs: Any) -> Any:
        """Send a PUT."""
        return self.request("PUT", url, **kwargs)

    def delete(self, url: str | yarl.URL, **kwargs: Any) -> Any:
        """Send a DELETE."""
        return self.request("DELETE", url, **kwargs)

    def ws_connect(self, url: str | yarl.URL, **_: Any) -> NoReturn:
        """Refuse: the loopback exchange speaks REST only.

        Raises:
            TradingRefused: `loopback.no_websocket`.
        """
        raise TradingRefused(
            f"the loopback session opens no WebSocket to {yarl.URL(url).host}",
            code="loopback.no_websocket",
            hint="the loopback exchange speaks REST only",
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()
