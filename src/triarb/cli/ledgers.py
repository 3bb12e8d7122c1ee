"""The ledgers that commands work on, and the accounts that they are of."""

import asyncio
import os
from pathlib import Path
from typing import Any

from triarb.exceptions import ConfigError, UsageError
from triarb.ledger import SqlLedger, default_path
from triarb.operations import Parts, TradingConfig


def all_ledgers() -> list[Path]:
    """The ledgers in the user's data folder, the one used last at the end.

    Raises:
        UsageError: there is none.
    """
    folder = default_path("any", "paper").parent
    ledgers = sorted(folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
    if not ledgers:
        raise UsageError(
            f"there is no ledger in {folder}", hint="triarb paper makes one, or name a file"
        )
    return ledgers


def configured_ledger(config: Path | None = None) -> Path | None:
    """The ledger that the configuration names; None where it names none.

    Raises:
        ConfigError: it cannot be read.
    """
    return TradingConfig.load(config).ledger


def ledger_file(ledger: str | None, config: Path | None = None, *, reads: bool = False) -> Path:
    """The file that was named, or else the configuration's ledger, or else the one that was used last.

    Args:
        ledger: the file's name; None where none was told.
        config: the configuration's TOML file; by default the one of this folder.
        reads: whether it is only looked at, so that a configuration that cannot be read is no hindrance.

    Raises:
        UsageError: what was named is no file's name; or none was, and there is none.
        ConfigError: none was named, and the configuration cannot be read.
    """
    if ledger is None:
        try:
            named = configured_ledger(config)
        except ConfigError:
            if not reads:
                raise
            named = None
        return all_ledgers()[-1] if named is None else named
    path = Path(ledger)
    if not path.name:
        raise UsageError(f"{ledger!r} is no file's name", hint="name a ledger's file")
    return path


def existing_ledger(ledger: str | None, config: Path | None = None) -> Path:
    """The same, of a command that writes to it: it must be there.

    Raises:
        UsageError: it is not.
    """
    path = ledger_file(ledger, config)
    if not path.exists():
        raise UsageError(f"there is no ledger {path}", hint="name a ledger's file")
    return path


def account_of(target: str | None, config: Path | None) -> tuple[Path, Parts]:
    """A ledger and the parts of the account that it is of.

    Args:
        target: a ledger's file; or an exchange's id for the ledger of its sandbox in the user's data folder; None is the
            configuration's ledger, or the one that was used last.
        config: a TOML file with what else it takes, such as keys.

    Raises:
        UsageError: there is no such ledger, or it does not say whose it is; keys are missing.
        LedgerError: it cannot be read.
    """
    if target is not None and not _is_file(target):
        path = existing_ledger(os.fspath(default_path(target, "sandbox")))
        exchange, mode = target, "sandbox"
    else:
        path = existing_ledger(target, config)
        exchange, mode = asyncio.run(_account(path))
    if mode not in ("paper", "sandbox"):
        raise UsageError(
            f"the ledger {path} is of {exchange} ({mode or 'no account yet'})",
            hint="this works on the ledgers of triarb paper and triarb run",
        )
    options: dict[str, Any] = {"exchange": exchange, "ledger": path}
    told = TradingConfig.load(config, options=options)
    return path, Parts.of(told, "paper" if mode == "paper" else "sandbox")


def _is_file(target: str) -> bool:
    path = Path(target)
    return path.suffix != "" or path.name != target or path.is_file()


async def _account(path: Path) -> tuple[str, str]:
    async with SqlLedger(path, read_only=True) as ledger:
        portfolio = ledger.portfolio()
        return portfolio.exchange, portfolio.mode
