"""Line: one instance of ccxt's, asked so that its failures come as ours."""

from typing import Any, Final

import attrs

from triarb.exceptions import MalformedAnswer
from triarb.gateways.ccxt.credentials import Credentials
from triarb.gateways.ccxt.failures import explain
from triarb.gateways.ccxt.wire import Wire, through

NONSENSE: Final = (AttributeError, KeyError, TypeError, ValueError)
"""What reading an answer raises that is not of the shape that ccxt promises."""


@attrs.frozen
class Line:
    """The way to an exchange.

    Attributes:
        instance: ccxt's object.
        credentials: what no failure may show.
    """

    instance: Any
    credentials: Credentials | None = None

    async def load_markets(self, *, again: bool = False) -> None:
        """Let ccxt load the markets; `again` where it knows them already.

        Raises:
            GatewayError: whatever ccxt raised, in our words and with nothing of it attached.
        """
        await self._call(Wire(), "its markets", "load_markets", again)

    async def ask(self, what: str, method: str, *args: Any) -> Any:
        """Call a method of ccxt's; `what` is what a failure says was asked for.

        Raises:
            GatewayError: whatever ccxt raised, in our words and with nothing of it attached.
            MalformedAnswer: an answer that is not JSON, which ccxt takes for one with nothing in it.
        """
        wire = Wire()
        answer = await self._call(wire, what, method, *args)
        if wire.is_text:
            raise self.malformed(what, f"the answer is not JSON (HTTP {wire.status})")
        return answer

    async def _call(self, wire: Wire, what: str, method: str, *args: Any) -> Any:
        try:
            return await through(wire, getattr(self.instance, method)(*args))
        except Exception as error:  # noqa: BLE001 - each is explained
            failure = explain(self.instance.id, what, error, wire, self.credentials)
        raise failure  # out here it has no context, and so no address with a signature

    def malformed(self, what: str, why: object) -> MalformedAnswer:
        """The error of an answer that came and makes no sense."""
        return MalformedAnswer(f"{self.instance.id}, {what}: {why}", code="gateway.malformed")
