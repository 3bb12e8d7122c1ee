"""What the commands that trade have in common: their options, and the engine that they come to."""

from pathlib import Path
from typing import Annotated, Any, Final

import attrs
from cyclopts import Parameter

from triarb.cli.output import error_console, print_report, printable
from triarb.cli.running import run_engine
from triarb.cli.scan import Flag, Names
from triarb.engine.tally import check_end
from triarb.exceptions import UsageError
from triarb.ledger.place import real
from triarb.money import Money
from triarb.operations import Oversight, Parts, TradingConfig
from triarb.operations.showing import not_read

Texts = Annotated[list[str] | None, Parameter(negative=())]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Trading:
    """The options of a command that trades.

    Parameters
    ----------
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    seconds
        How long to run.
    cycles
        How many executions to run.
    max_legs
        The most legs of a cycle.
    min_edge_bps
        The least net edge.
    max_notional
        The most that a cycle may spend; its currency is the start asset, if no other is told.
    max_daily_loss
        The most that may be lost on a UTC day.
    interval
        Seconds between two looks at the exchange.
    ledger
        A ledger file; by default the one of this exchange in the user's data folder.
    claim
        The most that a new ledger opens with, such as "500 USDT", and nothing of other assets; may be given several
        times. The rest of the account is left alone.
    foreign
        How the client ids of others' open orders begin; any other one halts. By default all are left alone that are
        not of another triarb.
    json
        Print one JSON object.
    """

    config: Path | None = None
    seconds: float | None = None
    cycles: int | None = None
    max_legs: str | None = None
    min_edge_bps: str | None = None
    max_notional: str | None = None
    max_daily_loss: str | None = None
    interval: str | None = None
    ledger: Path | None = None
    claim: Texts = None
    foreign: Names = None
    json: Flag = False

    def load(self, exchange: str | None, **more: Any) -> TradingConfig:
        """The configuration that these options, `more` of them, and whatever else tells come to."""
        names = (
            "max_legs", "min_edge_bps", "max_notional", "max_daily_loss", "interval", "ledger", "claim",
            "foreign",
        )  # fmt: skip
        told = {name: getattr(self, name) for name in names}
        check_end(self.seconds, self.cycles)
        loaded = TradingConfig.load(self.config, options={"exchange": exchange, **told, **more})
        if loaded.ignored:
            error_console().print(printable(not_read(loaded)), markup=False, highlight=False)
        return loaded

    def run(self, told: TradingConfig, parts: Parts, *, title: str) -> str:
        """Run an engine of `parts` to its end, watched over as `told` says, and print its report; answers its state."""
        report = run_engine(
            parts.gateway,
            title=title,
            watched=not self.json,
            seconds=self.seconds,
            cycles=self.cycles,
            risk=parts.risk,
            finder=parts.finder,
            ledger_path=parts.ledger,
            begun=parts,
            start=parts.start,
            **parts.options,
            watch=Oversight.of(told, real(parts.ledger), parts.gateway.mode),
        )
        return print_report(report, title=f"ledger {parts.ledger}", as_json=self.json)


DEFAULTS: Final = Trading()


def parse_amounts(texts: list[str]) -> dict[str, Any]:
    """Amounts such as ``500 USDT``, by asset.

    Raises:
        UsageError: one that is none, or two of one asset.
    """
    amounts = {money.currency: money.amount for money in map(Money.parse, texts)}
    if len(amounts) < len(texts):
        raise UsageError(f"{', '.join(texts)}: an asset is told twice", hint="add them up")
    return amounts
