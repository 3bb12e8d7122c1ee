"""The settings: what each means, what may be written for it, and what the live trading guide calls it."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from triarb.operations import values
from triarb.operations.values import Reader

EXCHANGE: Final = "The exchange"
KEYS: Final = "Keys, and where they trade"
LIMITS: Final = "Limits"
LOOK: Final = "How it looks, and where it writes"
PAPER: Final = "Paper trading"
WATCH: Final = "What watches over it"


@attrs.frozen
class Setting:
    """How a setting is told.

    Attributes:
        group: the heading that it stands under in a file.
        about: what it means.
        read: reads what is told under its own name.
        schema: what an editor should know of it, as JSON Schema.
        example: how TOML tells it; empty where TOML should not.
        guide: its name in the live trading guide.
        read_guide: reads what is told under that name, where its unit is another.
    """

    group: str
    about: str
    read: Reader
    schema: Mapping[str, Any]
    example: str
    guide: str = ""
    read_guide: Reader | None = None

    @property
    def is_secret(self) -> bool:
        """Whether what is told never shows."""
        return self.read is values.secret


AUDIT: Final = ("off", "on", "required")
_TEXT: Final = {"type": "string"}
_NAMES: Final = {"type": "array", "items": _TEXT}
_BOOLEAN: Final = {"type": "boolean"}
_MONEY: Final = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9.]+\s+[A-Za-z0-9.$_-]+\s*$"},
    ]
}


def _range(low: float, high: float, kind: str = "number") -> dict[str, Any]:
    return {"type": kind, "minimum": low, "maximum": high}


SETTINGS: Final[dict[str, Setting]] = {
    "exchange": Setting(
        EXCHANGE,
        "the id that ccxt has for the exchange",
        values.text,
        _TEXT,
        example='"binanceus"',
        guide="EXCHANGE_NAME",
    ),
    "start": Setting(
        EXCHANGE,
        "the asset that cycles start and end in",
        values.asset,
        _TEXT,
        example='"USDT"',
    ),
    "api_key": Setting(
        KEYS,
        "the API key, or the address of where it is",
        values.secret,
        _TEXT,
        example='"vault://secret/binance#api_key"',
        guide="API_KEY",
    ),
    "secret_key": Setting(
        KEYS,
        "its secret, or the address of where it is",
        values.secret,
        _TEXT,
        example='"vault://secret/binance#secret_key"',
        guide="SECRET_KEY",
    ),
    "passphrase": Setting(
        KEYS,
        "the passphrase, on the exchanges that have one",
        values.secret,
        _TEXT,
        example='"file:///run/keys/passphrase"',
        guide="PASSPHRASE",
    ),
    "sandbox": Setting(
        KEYS,
        "keys trade in the exchange's sandbox; false is paper, and not production",
        values.boolean,
        _BOOLEAN,
        example="true",
        guide="SANDBOX",
    ),
    "live": Setting(
        KEYS,
        "production; triarb refuses it today, whatever this says",
        values.boolean,
        _BOOLEAN,
        example="false",
    ),
    "max_notional": Setting(
        LIMITS,
        "the most that a cycle may spend",
        values.money,
        _MONEY,
        example='"100 USDT"',
        guide="MAX_POSITION_SIZE",
    ),
    "max_daily_loss": Setting(
        LIMITS,
        "the most that may be lost on a UTC day",
        values.money,
        _MONEY,
        example='"20 USDT"',
        guide="MAX_DAILY_LOSS",
    ),
    "min_edge_bps": Setting(
        LIMITS,
        "the least net edge of a cycle, in bps: 50 are 0.5 %",
        values.bps("0", "1000"),
        _range(0, 1000),
        example="50",
        guide="MIN_PROFIT_THRESHOLD",
        read_guide=values.fraction("1000"),
    ),
    "max_edge_bps": Setting(
        LIMITS,
        "an edge above this is taken for bad data, in bps",
        values.bps("0", "10000", above=True),
        _range(0, 10_000),
        example="500",
    ),
    "max_slippage_bps": Setting(
        LIMITS,
        "how much worse than planned a leg may trade, in bps; each order has a limit price",
        values.bps("0", "1000", above=True),
        _range(0, 1000),
        example="200",
        guide="MAX_SLIPPAGE",
        read_guide=values.fraction("1000", above=True),
    ),
    "max_legs": Setting(
        LIMITS,
        "the most legs of a cycle",
        values.between("3", "8", "legs", whole=True),
        _range(3, 8, "integer"),
        example="3",
        guide="MAX_CYCLE_LENGTH",
    ),
    "max_age_ms": Setting(
        LIMITS,
        "the oldest book, in milliseconds",
        values.between("1", "60000", "milliseconds", whole=True),
        _range(1, 60_000, "integer"),
        example="2000",
    ),
    "max_skew_ms": Setting(
        LIMITS,
        "how far apart the books of one cycle may be, in milliseconds",
        values.between("1", "60000", "milliseconds", whole=True),
        _range(1, 60_000, "integer"),
        example="2000",
    ),
    "allow": Setting(
        LIMITS,
        "only these assets and symbols",
        values.names,
        _NAMES,
        example='["BTC", "ETH", "USDT"]',
    ),
    "deny": Setting(
        LIMITS,
        "none of these assets and symbols",
        values.names,
        _NAMES,
        example='["LUNA", "FTT/USDT"]',
    ),
    "interval_seconds": Setting(
        LOOK,
        "the time between two looks at the exchange, in seconds",
        values.between("0.01", "3600", "seconds"),
        _range(0.01, 3600),
        example="1",
        guide="SCAN_INTERVAL",
    ),
    "ledger": Setting(
        LOOK,
        "the ledger's file; else the one of this exchange and mode in your data folder",
        values.path,
        _TEXT,
        example='"mine.sqlite"',
    ),
    "balance": Setting(
        PAPER,
        "what a new account opens with",
        values.monies,
        {"anyOf": [_MONEY, {"type": "array", "items": _MONEY, "minItems": 1}]},
        example='["1000 USDT"]',
    ),
    "fee_bps": Setting(
        PAPER,
        "one fee for every market, in bps; else what the exchange publishes",
        values.bps("-1000", "1000"),
        _range(-1000, 1000),
        example="10",
    ),
    "latency_ms": Setting(
        PAPER,
        "how long an order takes to arrive, in milliseconds",
        values.between("0", "60000", "milliseconds"),
        _range(0, 60_000),
        example="50",
    ),
    "audit": Setting(
        WATCH,
        "an audit log beside the ledger: off, on, or required, which halts where it cannot be written",
        values.one_of(*AUDIT),
        {"enum": list(AUDIT)},
        example='"on"',
    ),
    "audit_keep_mb": Setting(
        WATCH,
        "how large the audit log may get, in megabytes, before its oldest files are removed; 0 keeps all",
        values.between("0", "1000000", "megabytes", whole=True),
        _range(0, 1_000_000, "integer"),
        example="1000",
    ),
    "ack_hours": Setting(
        WATCH,
        "after how many hours without triarb ack no cycle begins",
        values.between("0.1", "1000", "hours"),
        _range(0.1, 1000),
        example="12",
    ),
    "dead_man_url": Setting(
        WATCH,
        "what is called as long as the engine works: an address with its token, or the address of where that is",
        values.secret,
        _TEXT,
        example='"file:///run/keys/dead-man"',
    ),
    "dead_man_seconds": Setting(
        WATCH,
        "how often that is called, in seconds",
        values.between("5", "3600", "seconds", whole=True),
        _range(5, 3600, "integer"),
        example="60",
    ),
    "webhook_url": Setting(
        WATCH,
        "what is told of halts, stuck executions and limits on losses, as JSON; or the address of where that is",
        values.secret,
        _TEXT,
        example='"file:///run/keys/webhook"',
    ),
}
"""By name, in the order of a file."""
GUIDE: Final = {setting.guide: name for name, setting in SETTINGS.items() if setting.guide}
"""The guide's variables, and the setting of each."""
NAMES: Final = {name: name for name in SETTINGS} | {
    guide.lower(): name for guide, name in GUIDE.items()
}
"""The names that a setting may be told by, in small letters."""
