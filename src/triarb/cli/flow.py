"""triarb flow: money that came to the ledger or left it otherwise than by trading."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from triarb.cli.ledgers import existing_ledger
from triarb.cli.output import say
from triarb.clock import SystemClock
from triarb.exceptions import UsageError
from triarb.execution import resolving
from triarb.ledger import SqlLedger
from triarb.model import Portfolio
from triarb.money import ZERO, Money, plain


def flow(
    amount: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    note: str,
    ledger: str | None = None,
) -> None:
    """Book a deposit or a withdrawal. An engine trades with nothing that came later until it is booked.

    Parameters
    ----------
    amount
        What came, such as "+100 USDT", or went, such as "-100 USDT".

    Note:
        What it was.
    ledger
        A ledger file that no engine is using; by default the configuration's, or the one used last.
    """
    path = existing_ledger(ledger)
    asset, change = _signed(amount)
    portfolio = asyncio.run(_flow(path, asset, change, note))
    lines = [f"{path}: {plain(portfolio.balances.get(asset, ZERO))} {asset} are the ledger's now"]
    if portfolio.halted is not None:
        lines.append(f"it is halted still: {portfolio.halted} (triarb resume lifts it)")
    for line in lines:
        say(line)


async def _flow(path: Path, asset: str, change: Decimal, note: str) -> Portfolio:
    async with SqlLedger(path) as ledger:
        await resolving.flow(ledger, asset, change, SystemClock().now_ns(), note.strip())
        return ledger.portfolio()


def _signed(text: str) -> tuple[str, Decimal]:
    sign, money = text.strip()[:1], text.strip()[1:].strip()
    if sign not in ("+", "-"):
        raise UsageError(
            f"{text!r} does not say whether it came or went",
            hint='write "+100 USDT" for a deposit, "-100 USDT" for a withdrawal',
        )
    told = Money.parse(money)
    return told.currency, told.amount if sign == "+" else told.amount.copy_negate()
