"""triarb run: the whole engine in an exchange's own sandbox, or, armed, on its production."""

from triarb.cli.arming import arm_for
from triarb.cli.options import DEFAULTS, Trading
from triarb.exceptions import TradingRefused
from triarb.operations import Parts


def run(exchange: str | None = None, /, *, trading: Trading = DEFAULTS) -> str:
    """Trade in an exchange's own sandbox, with its keys; with live = true on production, once that is armed.

    It runs until --seconds or --cycles are over, or until it is interrupted; then it reports. The keys are those of
    the sandbox: TRIARB_API_KEY and TRIARB_SECRET_KEY, or wherever `triarb config show` says.

    Parameters
    ----------
    exchange
        An exchange's id, such as binance.
    """
    told = trading.load(exchange)
    if told.live:
        title = f"trading on {told.exchange}'s production for {told.account}"
        return trading.run(told, Parts.of(told, armed=arm_for(told)), title=title)
    if not told.sandbox:
        raise TradingRefused(
            "sandbox = false asks for production, where triarb sends no orders unless live is true",
            code="gateway.production",
            hint="leave it true, or use triarb paper",
        )
    return trading.run(
        told, Parts.of(told, "sandbox"), title=f"trading in the sandbox of {told.exchange}"
    )
