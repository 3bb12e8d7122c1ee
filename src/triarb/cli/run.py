"""triarb run: the whole engine in an exchange's own sandbox."""

from triarb.cli.options import DEFAULTS, Trading
from triarb.exceptions import TradingRefused
from triarb.operations import Parts
from triarb.operations.parts import choose_mode


def run(exchange: str | None = None, /, *, trading: Trading = DEFAULTS) -> str:
    """Trade in an exchange's own sandbox, with its keys; production is refused.

    It runs until --seconds or --cycles are over, or until it is interrupted; then it reports. The keys are those of
    the sandbox: TRIARB_API_KEY and TRIARB_SECRET_KEY, or wherever `triarb config show` says.

    Parameters
    ----------
    exchange
        An exchange's id, such as binance.
    """
    told = trading.load(exchange)
    choose_mode(told)  # refuses live
    if not told.sandbox:
        raise TradingRefused(
            "sandbox = false asks for production, where triarb sends no orders",
            code="gateway.production",
            hint="leave it true, or use triarb paper",
        )
    return trading.run(
        told, Parts.of(told, "sandbox"), title=f"trading in the sandbox of {told.exchange}"
    )
