"""Watch: from time to time, between executions, whether the account still is as the ledger says, and who else trades there."""

import math

import attrs

from triarb.clock import NS_PER_SECOND, Clock
from triarb.exceptions import GatewayError, UsageError
from triarb.execution.claims import Claim, Emit, look_around, reconcile
from triarb.gateways.gateway import Trading
from triarb.ledger import Ledger


@attrs.define
class Watch:
    """Looks at balances and open orders every `seconds`; what is missing, or another engine, halts the ledger.

    Attributes:
        claim: what is the engine's.
        seconds: the least time between two looks.
    """

    claim: Claim
    seconds: float = 60.0
    _due_ns: int = 0

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"watch_seconds is {self.seconds}", hint="give seconds, above zero")

    def looked(self, now_ns: int) -> None:
        """The account was looked at now."""
        self._due_ns = now_ns + round(self.seconds * NS_PER_SECOND)

    async def look(self, ledger: Ledger, gateway: Trading, clock: Clock, *, emit: Emit) -> None:
        """Look, if it is time and no execution is without its end.

        What cannot be read now is read the next time: it stops nothing, since nothing of it was true or false.

        Raises:
            LedgerError: something could not be made durable.
        """
        portfolio = ledger.portfolio()
        if clock.now_ns() < self._due_ns or portfolio.open or portfolio.stuck:
            return
        self.looked(clock.now_ns())
        try:
            # first whose orders are there: a halt that names another engine says more than one for what it locked
            await look_around(ledger, gateway, clock, self.claim, emit=emit)
            await reconcile(ledger, gateway, clock, self.claim, emit=emit)
        except GatewayError:
            return
