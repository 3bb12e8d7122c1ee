"""triarb paper: the whole engine on live prices with simulated orders."""

from triarb.cli.options import DEFAULTS, Texts, Trading
from triarb.cli.output import error_console, printable
from triarb.operations import Parts
from triarb.operations.parts import why_paper


def paper(
    exchange: str | None = None,
    /,
    *,
    trading: Trading = DEFAULTS,
    balance: Texts = None,
    fee_bps: str | None = None,
    latency_ms: str | None = None,
) -> str:
    """Trade on paper: live prices of an exchange, simulated orders, a real ledger. Needs a network, no keys.

    It runs until --seconds or --cycles are over, or until it is interrupted; then it reports. What is not said here is
    what `triarb config show` says: of the environment, of .env in this folder, and of a configuration file.

    Parameters
    ----------
    exchange
        An exchange's id, such as binance.
    balance
        What a new paper account opens with, such as "1000 USDT"; may be given several times. A ledger that exists
        goes on with its own.
    fee_bps
        One fee for every market; else what the exchange publishes.
    latency_ms
        How long an order takes to arrive.
    """
    told = trading.load(exchange, balance=balance, fee_bps=fee_bps, latency_ms=latency_ms)
    parts = Parts.of(told, "paper")
    if told.origins["sandbox"].name:  # somebody asked for a sandbox, or for none
        for note in why_paper(told):
            error_console().print(printable(note), markup=False, highlight=False)
    return trading.run(told, parts, title=f"paper trading on {told.exchange}")
