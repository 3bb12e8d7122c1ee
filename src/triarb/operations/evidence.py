"""Evidence: what an account's ledgers say was rehearsed, and whether a ledger is the account's own."""

from pathlib import Path
from typing import Final

import attrs

from triarb.ledger import SqlLedger, default_path
from triarb.ledger.place import real
from triarb.model import (
    Configured,
    EpochStarted,
    ExecutionEnded,
    ExecutionStarted,
    Halted,
    Outcome,
    Resumed,
    RunEnded,
)
from triarb.operations.config import TradingConfig

REHEARSALS: Final = ("paper", "sandbox")
"""The modes in which one rehearses."""


_Cycle = tuple[str, str, int, int]
"""Mode, epoch, start and number: the same in a copy of its ledger, and in nothing else."""


@attrs.frozen
class Evidence:
    """What was rehearsed.

    Attributes:
        cycles: clean ones on the configuration: every leg traded, and no less than the plan promised at its limits;
            each counts once, however many copies of its ledger there are.
        halts: that a running engine journalled and a person lifted.
        unproven: the ledgers with executions that have no proven end.
        ledgers: those that were read.
    """

    cycles: int = 0
    halts: int = 0
    unproven: tuple[str, ...] = ()
    ledgers: tuple[Path, ...] = ()


async def rehearsed(config: TradingConfig, configuration: str) -> Evidence:
    """What the account's paper and sandbox ledgers say about a configuration, and those that are told beside them.

    Raises:
        LedgerError: one cannot be read: what it might say is not guessed.
    """
    places = [real(default_path(config.exchange, mode, config.account)) for mode in REHEARSALS]
    told = [real(place) for place in config.rehearsals]
    found = Evidence()
    clean: set[_Cycle] = set()
    for path in dict.fromkeys([*places, *told]):
        if path in told or path.exists():
            async with SqlLedger(path, read_only=True) as ledger:
                found = _with(found, ledger, path, config, configuration, clean=clean)
    return found


def _with(
    before: Evidence,
    ledger: SqlLedger,
    path: Path,
    config: TradingConfig,
    configuration: str,
    *,
    clean: set[_Cycle],
) -> Evidence:
    """What one more ledger adds; only what ran as this account's, under a configuration that was journalled."""
    counted: dict[int, _Cycle] = {}
    epoch, halts = "", 0
    announced: Configured | None = None
    running: Configured | None = None
    halted = False
    for event in ledger.events():
        match event:
            case Configured():
                announced = event
            case EpochStarted():  # an engine that announced nothing runs on something unknown
                is_it = announced is not None and event.mode in ("", announced.mode)
                running, announced = announced if is_it else None, None
                epoch = event.epoch
            case ExecutionStarted() if running is not None and _is(running, config, configuration):
                counted[event.number] = (running.mode, epoch, event.at_ns, event.number)
            case ExecutionEnded() if event.execution.number in counted:
                execution = event.execution
                completed = execution.outcome is Outcome.COMPLETED and bool(execution.legs)
                if completed and execution.result >= execution.plan.worst_result:
                    clean.add(counted[execution.number])
            case Halted():
                halted = _is(running, config, None)
            case Resumed():
                halts += halted
                halted = False
            case _:
                pass
    portfolio = ledger.portfolio()
    unproven = (path.name,) if portfolio.stuck or portfolio.open else ()
    return Evidence(
        len(clean),
        before.halts + halts,
        (*before.unproven, *unproven),
        (*before.ledgers, path),
    )


def _is(running: Configured | None, config: TradingConfig, configuration: str | None) -> bool:
    """Whether an engine ran as a rehearsal of this account, and, where one is given, on that configuration."""
    return (
        running is not None
        and running.mode in REHEARSALS
        and (running.exchange, running.account) == (config.exchange, config.account)
        and configuration in (None, running.configuration)
    )


def strangers(ledger: SqlLedger, config: TradingConfig) -> tuple[str, ...]:
    """What ran on a ledger that is not the account on production; nothing where it is its own."""
    reasons: dict[str, None] = {}
    for event in ledger.events():
        match event:
            case Configured() if (event.exchange, event.mode, event.account) != (
                config.exchange,
                "live",
                config.account,
            ):
                reasons[f"{event.mode} of {event.account} on {event.exchange} ran on it"] = None
            case EpochStarted() if event.mode not in ("", "live"):
                reasons[f"{event.mode} on {event.exchange} ran on it"] = None
            case RunEnded() if (event.exchange, event.mode) != (config.exchange, "live"):
                reasons[f"{event.mode} on {event.exchange} ran on it"] = None
            case _:
                pass
    return tuple(reasons)
