"""The settings: what each means, what may be written for it, and what the live trading guide calls it."""

from typing import Final

from triarb.operations import numbers, values
from triarb.operations.risk_settings import LIMIT_SETTINGS
from triarb.operations.setting import BOOLEAN, MONIES, NAMES as LIST, TEXT, Setting, within

EXCHANGE: Final = "The exchange"
KEYS: Final = "Keys, and where they trade"
LOOK: Final = "How it looks, and where it writes"
PAPER: Final = "Paper trading"
WATCH: Final = "What watches over it"
ACCOUNT: Final = "What of the account is the engine's"

AUDIT: Final = ("off", "on", "required")

SETTINGS: Final[dict[str, Setting]] = {
    "exchange": Setting(
        EXCHANGE,
        "the id that ccxt has for the exchange",
        values.text,
        TEXT,
        example='"binanceus"',
        guide="EXCHANGE_NAME",
    ),
    "start": Setting(
        EXCHANGE,
        "the asset that cycles start and end in",
        values.asset,
        TEXT,
        example='"USDT"',
    ),
    "account": Setting(
        EXCHANGE,
        "the account's name, which its ledgers carry; production wants one, and has it typed",
        values.account_name,
        {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        example='"main"',
    ),
    "api_key": Setting(
        KEYS,
        "the API key, or the address of where it is",
        values.key,
        TEXT,
        example='"vault://secret/binance#api_key"',
        guide="API_KEY",
    ),
    "secret_key": Setting(
        KEYS,
        "its secret, or the address of where it is",
        values.key,
        TEXT,
        example='"vault://secret/binance#secret_key"',
        guide="SECRET_KEY",
    ),
    "passphrase": Setting(
        KEYS,
        "the passphrase, on the exchanges that have one",
        values.key,
        TEXT,
        example='"file:///run/keys/passphrase"',
        guide="PASSPHRASE",
    ),
    "sandbox": Setting(
        KEYS,
        "keys trade in the exchange's sandbox; false is paper, and not production",
        values.boolean,
        BOOLEAN,
        example="true",
        guide="SANDBOX",
    ),
    "live": Setting(
        KEYS,
        "orders go to production, if all else that this needs is there: see triarb doctor",
        values.boolean,
        BOOLEAN,
        example="false",
    ),
    **LIMIT_SETTINGS,
    "interval_seconds": Setting(
        LOOK,
        "the time between two looks at the exchange, in seconds",
        numbers.between("0.01", "3600", "seconds"),
        within(0.01, 3600),
        example="1",
        guide="SCAN_INTERVAL",
    ),
    "ledger": Setting(
        LOOK,
        "the ledger's file; else the one of this exchange and mode in your data folder",
        values.path,
        TEXT,
        example='"mine.sqlite"',
    ),
    "rehearsals": Setting(
        LOOK,
        "other ledgers of this account, where it was rehearsed",
        values.paths,
        LIST,
        example='["rehearsal.sqlite"]',
    ),
    "claim": Setting(
        ACCOUNT,
        "the most that a new ledger opens with, and nothing of other assets; else all that is free",
        values.monies,
        MONIES,
        example='["500 USDT"]',
    ),
    "foreign_prefixes": Setting(
        ACCOUNT,
        "how the client ids of others' open orders begin, where any other one is to halt; [] where nobody else trades",
        values.names,
        LIST,
        example='["web_"]',
    ),
    "watch_seconds": Setting(
        ACCOUNT,
        "how often balances and open orders are looked at between executions, in seconds",
        numbers.between("1", "86400", "seconds"),
        within(1, 86_400),
        example="60",
    ),
    "freeze": Setting(
        ACCOUNT,
        "a halt also forbids orders that bring back what a cycle under way holds, which may leave it stranded",
        values.boolean,
        BOOLEAN,
        example="false",
    ),
    "balance": Setting(
        PAPER,
        "what a new account opens with",
        values.monies,
        MONIES,
        example='["1000 USDT"]',
    ),
    "fee_bps": Setting(
        PAPER,
        "one fee for every market, in bps; else what the exchange publishes",
        numbers.bps("-1000", "1000"),
        within(-1000, 1000),
        example="10",
    ),
    "latency_ms": Setting(
        PAPER,
        "how long an order takes to arrive, in milliseconds",
        numbers.between("0", "60000", "milliseconds"),
        within(0, 60_000),
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
        numbers.between("0", "1000000", "megabytes", whole=True),
        within(0, 1_000_000, "integer"),
        example="1000",
    ),
    "ack_hours": Setting(
        WATCH,
        "after how many hours without triarb ack no cycle begins",
        numbers.between("0.1", "1000", "hours"),
        within(0.1, 1000),
        example="12",
    ),
    "dead_man_url": Setting(
        WATCH,
        "what is called as long as the engine works: an address with its token, or the address of where that is",
        values.secret,
        TEXT,
        example='"file:///run/keys/dead-man"',
    ),
    "dead_man_seconds": Setting(
        WATCH,
        "how often that is called, in seconds",
        numbers.between("5", "3600", "seconds", whole=True),
        within(5, 3600, "integer"),
        example="60",
    ),
    "webhook_url": Setting(
        WATCH,
        "what is told of halts, stuck executions and limits on losses, as JSON; or the address of where that is",
        values.secret,
        TEXT,
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
