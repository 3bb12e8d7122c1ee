"""triarb resolve: a person's word on an order that could not be proven."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from triarb.cli.ledgers import existing_ledger
from triarb.cli.options import Texts, parse_amounts
from triarb.cli.output import say
from triarb.cli.scan import Flag
from triarb.clock import SystemClock
from triarb.exceptions import UsageError
from triarb.execution import resolving
from triarb.ledger import SqlLedger
from triarb.money import parse_decimal


def resolve(
    client_id: str,
    /,
    *,
    evidence: str,
    filled: str | None = None,
    price: str | None = None,
    fee: Texts = None,
    never: Flag = False,
    ledger: str | None = None,
) -> None:
    """Say what became of an order that is stuck. It is journalled as a person's word, with how they know.

    The next recovery then ends its execution.

    Parameters
    ----------
    client_id
        The order's id, as `triarb status` shows it.
    evidence
        How you know, such as where it was looked up.
    filled
        How many base units were filled in all.
    price
        Their average price; of those that are not on record.
    fee
        What was charged for those, such as "0.001 BNB"; may be given several times.
    never
        The exchange never had it.
    ledger
        A ledger file that no engine is using; by default the configuration's, or the one used last.
    """
    path = existing_ledger(ledger)
    told = {
        "evidence": evidence,
        "never": never,
        "filled": _number("filled", filled),
        "price": _number("price", price),
        "fees": None if fee is None else parse_amounts(fee),
    }
    asyncio.run(_resolve(path, client_id, **told))
    word = "never" if never else f"filled {filled}"
    say(f"{client_id}: {word}; triarb recover ends its execution")


async def _resolve(path: Path, client_id: str, **word: Any) -> None:
    async with SqlLedger(path) as ledger:
        await resolving.resolve(ledger, client_id, SystemClock().now_ns(), **word)


def _number(name: str, text: str | None) -> Decimal | None:
    try:
        return None if text is None else parse_decimal(text)
    except ValueError as error:
        raise UsageError(f"--{name}: {error}", hint="give a number, such as 0.5") from None
