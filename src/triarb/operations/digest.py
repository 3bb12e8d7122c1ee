"""The digest of a configuration: what evidence about one says nothing about another by."""

import hashlib
import json
from typing import Final

from triarb.operations.config import TradingConfig
from triarb.operations.risk_settings import LIMIT_SETTINGS
from triarb.operations.showing import shown

STRATEGY: Final = ("exchange", "start", *LIMIT_SETTINGS, "interval_seconds")
"""The settings that it is of: strategy, risk and markets; not keys, mode, places or what paper trading alone reads."""


def digest(config: TradingConfig, mode: str) -> str:
    """16 digits of the SHA-256 of strategy, risk and markets; the same in every mode.

    Paper that is easier than the exchange (a fee that somebody stated, orders that arrive sooner than they would by
    default) has another, so that it is evidence of nothing else.
    """
    told = {name: shown(getattr(config, name)) for name in STRATEGY}
    sooner = config.latency_ms < TradingConfig().latency_ms
    if mode == "paper" and (config.fee_bps is not None or sooner):
        told["paper"] = f"{shown(config.fee_bps)} {shown(config.latency_ms)}"
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
