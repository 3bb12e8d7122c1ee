"""Limiter: how often an exchange is asked, by its own count, so that there is always room for the legs under way.

ccxt's own throttler stands aside: it holds the first order after a pause back by some 200 ms, and lets market data and
orders wait in one queue. What each request costs is still ccxt's word (`calculate_rate_limiter_cost`).
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock, iso
from triarb.exceptions import GatewayUnavailable
from triarb.gateways.ccxt.bans import BanFile
from triarb.model import Refused

SHARE: Final = 0.9
"""What of an exchange's allowance is used at most: others on this address, and clocks that differ, have the rest."""

READERS_SHARE: Final = 0.6
"""What of it those may use who can wait, which leaves the rest to orders and to what proves them."""

PATIENCE_SECONDS: Final = 120
"""How long a read waits for an exchange that told us to slow down; a longer ban is an error at once."""

COST_PER_ORDER: Final = 2.0
"""What an order costs with the book before it and a look-up after it, in ccxt's units; Binance's dearest is a book."""

_SLOW_DOWN: Final = (418, 429)
_UNTOLD_BAN_SECONDS: Final = 60
_LONGEST_BAN_SECONDS: Final = 366 * 86_400  # Binance's longest is three days
_ORDER_LIMITS = {  # by exchange: seconds, orders in them, and the header that tells our count
    "binance": ((10, 100, "x-mbx-order-count-10s"), (86_400, 200_000, "x-mbx-order-count-1d")),
}


class Limiter:
    """What both instances of a gateway ask before they send.

    Whatever is sent in any window of the exchange's costs at most `SHARE` of what the exchange allows in it. Those who
    can wait (market data) do; an order, a cancel or a look-up goes first, out of the room that was left to it.

    Args:
        exchange: a ccxt instance, of which the limits are taken.
        clock: tells the time, and waits.
        bans: where a ban is kept over a restart; None keeps it in this process.

    Raises:
        GatewayError: ``gateway.ban_file``.
    """

    __slots__ = (
        "_bans",
        "_clock",
        "_costs",
        "_exchange",
        "_limit",
        "_open_ns",
        "_orders",
        "_told",
        "_used",
        "_window_ns",
    )

    def __init__(self, exchange: Any, clock: Clock, bans: BanFile | None = None) -> None:
        window_ms = max(float(exchange.rollingWindowSize or 0), 1000.0)
        self._exchange: str = exchange.id
        self._clock = clock
        self._window_ns = round(window_ms * NS_PER_MS)
        self._limit = window_ms / exchange.rateLimit if exchange.rateLimit else float("inf")
        self._costs: deque[tuple[int, float]] = deque()
        self._used = 0.0
        self._bans = bans
        self._open_ns = 0 if bans is None else bans.until_ns()
        self._orders: list[int] = []
        self._told: dict[str, tuple[int, int]] = {}

    async def admit(self, cost: float, *, urgent: bool, writes: bool = False) -> None:
        """Return when a request of `cost` may be sent, and count it.

        Args:
            cost: in ccxt's units; one that is above the whole allowance waits for an empty window.
            urgent: it may use all of the share.
            writes: it may change something: it does not wait, since what it was decided on would be old.

        Raises:
            GatewayUnavailable: ``gateway.banned``; nothing was sent.
        """
        share = (SHARE if urgent else READERS_SHARE) * self._limit
        while (wait_ns := self._wait_ns(min(cost, share), share)) > 0:
            if writes or wait_ns > PATIENCE_SECONDS * NS_PER_SECOND:
                raise self._closed(wait_ns)
            await self._clock.sleep(wait_ns / NS_PER_SECOND)
        now_ns = self._clock.now_ns()
        self._costs.append((now_ns, cost))
        self._used += cost
        if writes:
            self._orders.append(now_ns)

    def _wait_ns(self, cost: float, share: float) -> int:
        """How long until there is room for `cost`; zero or less is now."""
        now_ns = self._clock.now_ns()
        while self._costs and self._costs[0][0] <= now_ns - self._window_ns:
            self._used -= self._costs.popleft()[1]
        if not self._costs:
            self._used = 0.0
        wait_ns, left = self._open_ns - now_ns, self._used
        for at_ns, spent in self._costs:
            if left + cost <= share:
                break
            left -= spent
            wait_ns = max(wait_ns, at_ns + self._window_ns - now_ns)
        return wait_ns

    def _closed(self, wait_ns: int) -> GatewayUnavailable:
        until = iso(self._clock.now_ns() + wait_ns)
        kept = "" if self._bans is None else f"; a ban is kept in {self._bans.path}"
        return GatewayUnavailable(
            f"{self._exchange}: nothing is sent before {until}: it was asked too often",
            code="gateway.banned",
            hint=f"ask less often; other programs on this address count too{kept}",
        )

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in what an answer says of how often we asked: a ban, its end, and the exchange's own count of orders."""
        now_ns = self._clock.now_ns()
        told = {str(name).lower(): str(value) for name, value in headers.items()}
        if status in _SLOW_DOWN:
            until_ns = now_ns + _retry_after_ns(told.get("retry-after"), now_ns)
            if until_ns > self._open_ns:
                self._open_ns = until_ns
                if self._bans is not None:
                    self._bans.keep(until_ns)
        for _, _, header in _ORDER_LIMITS.get(self._exchange, ()):
            if told.get(header, "").isdecimal():
                self._told[header] = (now_ns, int(told[header]))

    def room_for(self, orders: int) -> Refused | None:
        """Why `orders` more, each with a book and a look-up, might not be let through now; None where they would be.

        An order counts whether or not it was rejected, as on Binance.
        """
        now_ns = self._clock.now_ns()
        horizon = max(
            1.0, 10 * NS_PER_SECOND / self._window_ns
        )  # what a short window refills while they run
        wait_ns = self._wait_ns(orders * COST_PER_ORDER, SHARE * self._limit * horizon)
        if wait_ns > 0:
            return Refused(
                "gateway.no_room",
                f"{self._exchange} was asked so often that {orders} orders might not be let through",
                {"orders": orders, "wait_ms": wait_ns // NS_PER_MS},
            )
        limits = _ORDER_LIMITS.get(self._exchange, ())
        longest_ns = max((seconds for seconds, _, _ in limits), default=0) * NS_PER_SECOND
        del self._orders[: bisect_right(self._orders, now_ns - longest_ns)]
        for seconds, allowed, header in limits:
            since_ns = now_ns - seconds * NS_PER_SECOND
            sent = len(self._orders) - bisect_right(self._orders, since_ns)
            told_ns, told = self._told.get(header, (0, 0))
            count = max(sent, told if told_ns > since_ns else 0)
            if count + orders > SHARE * allowed:
                return Refused(
                    "gateway.no_room",
                    f"{count} orders in {seconds} s leave no room for {orders} more of {allowed}",
                    {"orders": orders, "sent": count, "allowed": allowed, "seconds": seconds},
                )
        return None


def use_limiter(exchange: Any, limiter: Limiter, *, urgent: bool) -> None:
    """Let `exchange` ask `limiter` instead of ccxt's throttler before each request."""
    calculate = exchange.calculate_rate_limiter_cost
    writes = False

    def noted(api: Any, method: str, path: str, params: Any, config: Any = None) -> Any:
        nonlocal writes
        writes = method != "GET"  # ccxt asks for the cost and throttles with nothing in between
        return calculate(api, method, path, params, config or {})

    async def throttle(cost: float | None = None) -> None:
        await limiter.admit(1.0 if cost is None else cost, urgent=urgent, writes=urgent and writes)

    exchange.enableRateLimit = True
    exchange.calculate_rate_limiter_cost, exchange.throttle = noted, throttle


def _retry_after_ns(value: str | None, now_ns: int) -> int:
    """What `Retry-After` says, seconds or a date (RFC 9110, 10.2.3); a minute where it says nothing we can read."""
    digits = (value or "").strip()
    if digits.isdecimal():
        seconds = int(digits) if len(digits) < 10 else _LONGEST_BAN_SECONDS
        return min(seconds, _LONGEST_BAN_SECONDS) * NS_PER_SECOND
    try:
        until = parsedate_to_datetime(value or "")
    except ValueError:
        return _UNTOLD_BAN_SECONDS * NS_PER_SECOND
    left_ns = round(until.timestamp()) * NS_PER_SECOND - now_ns
    return min(max(left_ns, 0), _LONGEST_BAN_SECONDS * NS_PER_SECOND)
