"""Armed: the permission to send orders to production. Without it a gateway sends none; it expires, and fits one account."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from triarb.clock import NS_PER_SECOND, iso
from triarb.exceptions import TradingRefused
from triarb.gateways.ccxt.credentials import Credentials
from triarb.gateways.ccxt.orders import FINDS_BY_CLIENT_ID
from triarb.gateways.ccxt.wire import Guard

GRACE_NS: Final = 15 * 60 * NS_PER_SECOND
"""How long after it expired what is under way may still be brought to its end. No cycle begins in that time."""

SEAL: Final = object()
"""What `triarb.operations.arming.arm` makes an `Armed` with, and nobody else."""

TEST_ORDERS: Final = {"binance": "/api/v3/order/test"}
"""By exchange, where it says of an order whether it would take it, and takes none: all that an unarmed key may write."""


class Armed:
    """The permission to send orders to the production of one exchange, for one account, until it expires.

    `triarb.operations.arming.arm` makes one when all that production needs is there, and nothing else does. It is neither
    copied nor pickled nor changed: another process, and another day, needs one of its own.

    Attributes:
        exchange: ccxt's id.
        account: the account's name.
        key: the fingerprint of its API key.
        since_ns: when it was armed.
        until_ns: from when on no new cycle begins; what is under way has `GRACE_NS` more.
    """

    __slots__ = ("account", "exchange", "key", "since_ns", "until_ns")

    exchange: str
    account: str
    key: str
    since_ns: int
    until_ns: int

    def __init__(self, seal: object, /, **what: Any) -> None:
        if seal is not SEAL:
            raise TypeError("an Armed is made by triarb.operations.arming.arm, and by nothing else")
        for name in self.__slots__:
            object.__setattr__(self, name, what[name])

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise AttributeError(f"{name} of an Armed does not change")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("an Armed is neither pickled nor copied")

    def __repr__(self) -> str:
        return f"<Armed {self.exchange} {self.account} until {iso(self.until_ns)}>"

    def check(self, exchange: str, credentials: Credentials, now_ns: int, *, grace: bool) -> None:
        """Whether an order may be sent.

        Args:
            exchange: where to.
            credentials: by whom.
            now_ns: when.
            grace: whether it is for something under way, which may outlast the permission by `GRACE_NS`.

        Raises:
            TradingRefused: ``arming.other_account``, or ``arming.expired``.
        """
        if (self.exchange, self.key) != (exchange, fingerprint(exchange, credentials)):
            raise TradingRefused(
                f"production is armed for {self.account} on {self.exchange}, and this is another account",
                code="arming.other_account",
                hint="arm it for this one",
            )
        until_ns = self.until_ns + (GRACE_NS if grace else 0)
        if not self.since_ns <= now_ns < until_ns:  # also where the clock went back before it
            raise TradingRefused(
                f"production was armed from {iso(self.since_ns)} until {iso(self.until_ns)}",
                code="arming.expired",
                hint="arm it again",
            )


def unarmed(exchange: str) -> TradingRefused:
    """The refusal to send an order to production without an `Armed`."""
    return TradingRefused(
        f"no order is sent to {exchange}'s production: it is not armed",
        code="gateway.production",
        hint="use its sandbox, or arm it",
    )


def fingerprint(exchange: str, credentials: Credentials) -> str:
    """A name for an API key that does not tell it: 16 digits of its SHA-256."""
    return hashlib.sha256(f"{exchange}\n{credentials.key}".encode()).hexdigest()[:16]


def production_guard(exchange: str, may_act: Callable[[], None]) -> Guard | None:
    """The guard of what production is sent: where `may_act` raises, nothing but reads and test orders leaves.

    None where orders are never sent, armed or not: some of those exchanges are also read with other methods than GET.
    """
    if exchange not in FINDS_BY_CLIENT_ID:
        return None

    def guard(url: str, _headers: Mapping[str, str]) -> None:
        if urlsplit(url).path != TEST_ORDERS.get(exchange):
            may_act()

    return guard
