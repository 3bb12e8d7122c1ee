"""Who sent a request, and when: keys, signatures and time stamps, checked as Binance does."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qsl

from triarb.clock import NS_PER_MS
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback.messages import ApiError

DEFAULT_WINDOW_MS = 5000
LONGEST_WINDOW_MS = 60_000
EARLY_MS = 1000
_WINDOW = re.compile(r"\d{1,5}(\.\d{1,3})?")


def parameters(query: str, body: str) -> dict[str, str]:
    """The parameters of a request; what the query says counts before what the body says.

    Raises:
        ApiError: one is there twice.
    """
    result: dict[str, str] = {}
    for text in (body, query):
        pairs = parse_qsl(text, keep_blank_values=True)
        if len({name for name, _ in pairs}) < len(pairs):
            raise ApiError(-1101, "Duplicate values for a parameter detected.")
        result |= dict(pairs)
    return result


def check_signed(
    key: str, sent: str, params: Mapping[str, str], credentials: Credentials, now_ns: int
) -> None:
    """Let a signed request pass.

    Args:
        key: its header `X-MBX-APIKEY`.
        sent: its query and its body, as they were sent.
        params: its parameters.
        credentials: the account's.
        now_ns: the exchange's time.

    Raises:
        ApiError: a key that is missing or unknown, a signature that does not fit, or a time out of its window.
    """
    if not key:
        raise ApiError(-2014, "API-key format invalid.", 401)
    if not hmac.compare_digest(key.encode(), credentials.key.encode()):
        raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    for name in ("signature", "timestamp"):
        if not params.get(name):
            raise mandatory(name)
    signed = re.sub(r"(^|&)signature=[^&]*", "", sent)
    wanted = hmac.new(credentials.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(params["signature"].lower().encode(), wanted.encode()):
        raise ApiError(-1022, "Signature for this request is not valid.")
    _check_time(params, now_ns // NS_PER_MS)


def mandatory(name: str) -> ApiError:
    """The refusal of a request without that parameter."""
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return ApiError(-1102, message)


def _check_time(params: Mapping[str, str], now_ms: int) -> None:
    window_text = params.get("recvWindow", str(DEFAULT_WINDOW_MS))
    if not _WINDOW.fullmatch(window_text) or not params["timestamp"].isdigit():
        name = "timestamp" if _WINDOW.fullmatch(window_text) else "recvWindow"
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'.")
    window, sent_ms = Decimal(window_text), int(params["timestamp"])
    if window > LONGEST_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if sent_ms >= now_ms + EARLY_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - sent_ms > window:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
