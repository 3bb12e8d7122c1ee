"""Which sandbox is an exchange's own.

ccxt names a sandbox for many exchanges, but not always theirs: binanceus gets Binance's testnet, bequant HitBTC's demo,
blockchaincom Delta's, and weex its own production.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from triarb.exceptions import TradingRefused
from triarb.gateways.ccxt.wire import Guard

# Sandboxes that an exchange runs under a domain other than that of its production. binance: testnet/general-info.md of
# github.com/binance/binance-spot-api-docs (binancefuture.com is its futures', which ccxt lists along). gate: "TestNet" of
# gate.com/docs/developers/apiv4. cryptocom: "UAT Sandbox" of exchange-docs.crypto.com/exchange/v1/rest-ws.
_OWN_HOSTS = {
    "binance": {"testnet.binance.vision", "testnet.binancefuture.com"},
    "gate": {"api-testnet.gateapi.io"},
    "cryptocom": {"uat-api.3ona.co"},
}

# Sandboxes on the hosts of production, told apart by a header that ccxt adds in sandbox mode (`set_sandbox_mode` of its
# okx, `sign` of its bitget).
_OWN_HEADERS = {
    "okx": ("x-simulated-trading", "1"),
    "myokx": ("x-simulated-trading", "1"),
    "okxus": ("x-simulated-trading", "1"),
    "bitget": ("PAPTRADING", "1"),
}

_SECOND_LEVELS = ("ac", "co", "com", "go", "gov", "net", "or", "org")


def enter_sandbox(exchange: Any) -> Guard:
    """Put a fresh ccxt instance into sandbox mode.

    Returns:
        The guard of its requests: what may change something leaves only for a host that production does not use, or
        with the header that makes it a simulation.

    Raises:
        TradingRefused: `gateway.no_sandbox` or `gateway.foreign_sandbox`.
    """
    name, header = exchange.id, _OWN_HEADERS.get(exchange.id)
    production = _hosts(exchange.urls["api"], exchange.hostname)
    if not exchange.urls.get("test") and header is None:
        raise _no_sandbox(name, "ccxt knows of none")
    exchange.set_sandbox_mode(True)
    sandbox = _hosts(exchange.urls["api"], exchange.hostname)
    own = {_registrable(host) for host in production}
    foreign = {h for h in sandbox if _registrable(h) not in own} - _OWN_HOSTS.get(name, set())
    if foreign:
        raise TradingRefused(
            f"ccxt's sandbox for {name} is {', '.join(sorted(foreign))}, which is not known to be {name}'s own",
            code="gateway.foreign_sandbox",
            hint="its keys must not go there; use paper trading instead",
        )
    apart = sandbox - production
    if not apart and header is None:
        raise _no_sandbox(name, "what ccxt calls one is its production")

    def guard(url: str, headers: Mapping[str, str]) -> None:
        host = urlsplit(url).hostname
        simulated = header is not None and headers.get(header[0]) == header[1]
        if host not in apart and not (host in sandbox and simulated):
            raise TradingRefused(
                f"{name}: a request was about to leave the sandbox for {host}",
                code="gateway.left_sandbox",
                hint="nothing was sent; this is a fault to report",
            )

    return guard


def in_sandbox(exchange: Any) -> bool:
    """Whether a ccxt instance shows sandbox data."""
    return bool(exchange.isSandboxModeEnabled or exchange.options.get("sandboxMode"))


def _no_sandbox(name: str, why: str) -> TradingRefused:
    return TradingRefused(
        f"{name} has no sandbox: {why}",
        code="gateway.no_sandbox",
        hint="use paper trading instead",
    )


def _hosts(urls: Any, hostname: str | None) -> set[str]:
    if isinstance(urls, dict):
        return set().union(*(_hosts(value, hostname) for value in urls.values()))
    host = urlsplit(str(urls).replace("{hostname}", hostname or "")).hostname
    return {host} if host else set()


def _registrable(host: str) -> str:
    """The part of a host name that somebody registered: ``binance.com``, ``bank.co.jp``."""
    labels = host.split(".")
    country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
    return ".".join(labels[-3 if country else -2 :])
