"""What went wrong, in triarb's words: by what came over the wire, and never with a secret or a signed address."""

import re
from typing import Any

from triarb.exceptions import GatewayError, GatewayUnavailable, MalformedAnswer, TriarbError
from triarb.gateways.ccxt.credentials import Credentials, without_signature
from triarb.gateways.ccxt.wire import Wire

_LONGEST = 160
_BINANCE_KEY_CODES = {"-1002", "-1022", "-2014", "-2015"}
_QUERY = re.compile(r"\?[^\s'\"]*")


def explain(
    exchange: str, what: str, error: Exception, wire: Wire, credentials: Credentials | None
) -> TriarbError:
    """The error to raise for what ccxt raised while `what` was asked of an exchange."""
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    if isinstance(error, TriarbError):
        return error
    name = f"{exchange}, {what}: {said(error, wire, credentials)}"
    # Binance's -2015 comes as DDoSProtection once an earlier call went well.
    if isinstance(error, ccxt.AuthenticationError) or wire.code() in _BINANCE_KEY_CODES:
        return GatewayError(name, code="gateway.credentials", hint="check the key and its rights")
    if isinstance(error, ccxt.InvalidNonce):
        return GatewayError(name, code="gateway.clock", hint="set this machine's clock")
    if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
        return GatewayUnavailable(name, code="gateway.rate_limited", hint="ask less often")
    if isinstance(error, ccxt.OrderNotFound):
        return GatewayError(name, code="gateway.no_such_order")
    if isinstance(error, ccxt.NotSupported | ccxt.ArgumentsRequired):
        return GatewayError(name, code="gateway.unsupported")
    if isinstance(error, ccxt.BadResponse) or not isinstance(error, ccxt.BaseError):
        return MalformedAnswer(name, code="gateway.malformed")
    broken_off = type(error) is ccxt.ExchangeError and wire.status is None  # half a body
    if isinstance(error, ccxt.OperationFailed) or broken_off:
        hint = "check the network, or ask again later"
        return GatewayUnavailable(name, code="gateway.unavailable", hint=hint)
    return GatewayError(name, code="gateway.refused")


def said(error: Exception, wire: Wire, credentials: Credentials | None) -> str:
    """What an exchange said, or what ccxt made of its silence: short, and without secrets."""
    told = wire.told()
    if isinstance(error, TriarbError | ValueError):
        text = str(error)
    elif told.get("msg") is not None or wire.code() is not None:
        text = f"{told.get('code')} {told.get('msg')} (HTTP {wire.status})"
    elif wire.status is not None:
        text = f"{type(error).__name__} (HTTP {wire.status}, {_start(wire.body)})"
    else:
        text = f"no answer ({type(error).__name__})"
    text = without_signature(_QUERY.sub("", text))
    return credentials.mask(text) if credentials else text


def _start(body: Any) -> str:
    return repr(body[:_LONGEST]) if body else "an empty body"
