"""triarb scan: one source, one answer."""

from typing import Annotated, Literal

from cyclopts import Parameter
from rich.text import Text

from triarb.cli.output import console, error_console, print_json, printable, table
from triarb.explaining.explanation import HEADINGS as EXPLANATION_HEADINGS
from triarb.scanning import scan as scan_source
from triarb.scanning.result import HEADINGS

Names = Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())]
Flag = Annotated[bool, Parameter(negative=())]


def scan(
    source: str,
    /,
    *,
    max_legs: int = 3,
    min_legs: int = 3,
    start: Names = None,
    only: Names = None,
    ignore: Names = None,
    fee_bps: str | None = None,
    min_edge_bps: str = "0",
    top: int = 20,
    sort: Literal["rate", "profit"] = "rate",
    value_in: str | None = None,
    reference: Names = None,
    min_depth: Names = None,
    explain: Flag = False,
    json: Flag = False,
) -> None:
    """Find the profitable cycles of a snapshot file or a live exchange, and say which can be traded.

    Parameters
    ----------
    source
        A snapshot file, or an exchange's id such as binance.
    max_legs
        The most legs of a cycle, up to 8.
    min_legs
        The fewest legs of a cycle, at least 2.
    start
        Only cycles through one of these assets, judged as begun there.
    only
        Only these assets and markets (symbols such as ETH/BTC).
    ignore
        None of these assets and markets.
    fee_bps
        One fee for every market, in bps; else each market's own, else the file's, else a published one.
    min_edge_bps
        Only cycles above this net edge; -10000 or less is no threshold.
    top
        How many cycles to list; all are counted.
    sort
        Best rate first, or most profit first (with exactly one start asset, or --value-in).
    value_in
        Say what each profit is worth in this asset.
    reference
        The markets to value by, such as BTC/USDT; without one, only what is in that asset already has a worth.
    min_depth
        What they must show on the side taken, such as "500 USDT".
    explain
        Take each listed cycle apart: fees, depth, what whole steps leave over, and what binds.
    json
        Print one JSON object.
    """
    with error_console().status(Text(f"scanning {printable(source)}")):
        result = scan_source(
            source,
            min_legs=min_legs,
            max_legs=max_legs,
            start=start or (),
            only=only or (),
            ignore=ignore or (),
            fee_bps=fee_bps,
            min_edge_bps=min_edge_bps,
            top=top,
            sort=sort,
            value_in=value_in,
            references=reference or (),
            min_depth=min_depth or (),
            explain=explain,
        )
    if json:
        print_json(result.to_dict())
        return
    out = console()
    out.print(printable(result.headline()), markup=False, highlight=False)
    out.print(result.verdict(), style="bold", highlight=False)
    if result.cycles:
        out.print(table(HEADINGS, result.rows(), right=(1, 2, 3)))
    if result.count > len(result.cycles):
        out.print(f"{result.count - len(result.cycles)} more are not listed (--top).")
    out.print(result.proof(), highlight=False)
    for explanation in (cycle.explanation for cycle in result.cycles if cycle.explanation):
        out.print(f"\n{explanation.headline()}", style="bold", markup=False, highlight=False)
        out.print(table(EXPLANATION_HEADINGS, explanation.rows()), highlight=False)
        for note in explanation.notes():
            out.print(note, markup=False, highlight=False)
