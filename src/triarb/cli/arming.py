"""Arming for a command: the account's name is typed on a terminal, or given in the environment."""

import asyncio
import os
import sys

from triarb.cli.output import error_console, printable
from triarb.gateways.ccxt.armed import Armed
from triarb.operations import TradingConfig
from triarb.operations.arming import arm
from triarb.operations.sources import CONFIRMATION


def arm_for(config: TradingConfig) -> Armed:
    """Arm production for a configuration that asks for it.

    Raises:
        TradingRefused: ``arming.refused``, with everything that is missing.
        SecretError: a key cannot be had, or not safely.
        LedgerError: a ledger cannot be read, or is in use.
    """
    typed = None
    if CONFIRMATION not in os.environ and sys.stdin.isatty():
        out = error_console()
        line = f"Orders will go to {config.exchange}'s production, with real money."
        out.print(printable(line), markup=False, highlight=False)
        typed = out.input("Type the account's name to go on: ", markup=False).strip()
    return asyncio.run(arm(config, typed=typed))
