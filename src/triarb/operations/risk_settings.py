"""The settings of limits: each is a keyword of `RiskLimits`, of the valuation behind it, or of the circuit breaker."""

from typing import Final

from triarb.operations import numbers, values
from triarb.operations.setting import (
    BOOLEAN,
    MONEY,
    MONIES,
    NAMES as LIST,
    Setting,
    amount,
    whole,
    within,
)

LIMITS: Final = "Limits"
VALUES: Final = "What limits in money are valued by"
BREAKER: Final = "The circuit breaker"

LIMIT_SETTINGS: Final[dict[str, Setting]] = {
    "max_notional": Setting(
        LIMITS,
        "the most that a cycle may spend",
        values.money,
        MONEY,
        example='"100 USDT"',
        guide="MAX_POSITION_SIZE",
    ),
    "max_daily_loss": Setting(
        LIMITS,
        "the most that may be lost on a UTC day",
        values.money,
        MONEY,
        example='"20 USDT"',
        guide="MAX_DAILY_LOSS",
    ),
    "min_edge_bps": Setting(
        LIMITS,
        "the least net edge of a cycle, in bps: 50 are 0.5 %",
        numbers.bps("0", "1000"),
        within(0, 1000),
        example="50",
        guide="MIN_PROFIT_THRESHOLD",
        read_guide=numbers.fraction("1000"),
    ),
    "max_edge_bps": Setting(
        LIMITS,
        "an edge above this is taken for bad data, in bps",
        numbers.bps("0", "10000", above=True),
        within(0, 10_000),
        example="500",
    ),
    "max_slippage_bps": Setting(
        LIMITS,
        "how much worse than the price that nominated it a leg may trade, in bps",
        numbers.bps("0", "1000", above=True),
        within(0, 1000),
        example="200",
        guide="MAX_SLIPPAGE",
        read_guide=numbers.fraction("1000", above=True),
    ),
    "max_legs": Setting(
        LIMITS,
        "the most legs of a cycle",
        numbers.between("3", "8", "legs", whole=True),
        within(3, 8, "integer"),
        example="3",
        guide="MAX_CYCLE_LENGTH",
    ),
    "max_age_ms": Setting(
        LIMITS,
        "the oldest book, in milliseconds",
        numbers.between("1", "60000", "milliseconds", whole=True),
        within(1, 60_000, "integer"),
        example="2000",
    ),
    "max_skew_ms": Setting(
        LIMITS,
        "how far apart the books of one cycle may be, in milliseconds",
        numbers.between("1", "60000", "milliseconds", whole=True),
        within(1, 60_000, "integer"),
        example="2000",
    ),
    "allow": Setting(
        LIMITS,
        "only these assets and symbols",
        values.scope,
        LIST,
        example='["BTC", "ETH", "USDT"]',
    ),
    "deny": Setting(
        LIMITS,
        "none of these assets and symbols",
        values.scope,
        LIST,
        example='["LUNA", "FTT/USDT"]',
    ),
    "max_fee_drift_bps": Setting(
        LIMITS,
        "the most that fills may be charged beyond what was expected, in bps",
        numbers.between("0", "1000", "bps", above=True),
        within(0, 1000),
        example="1",
    ),
    "min_stranded_edge_bps": Setting(
        LIMITS,
        "the least edge that being stranded may leave, in bps: -150 is a loss of 1.5 %",
        numbers.bps("-10000", "10000"),
        within(-10_000, 10_000),
        example="-150",
    ),
    "max_per_asset": Setting(
        LIMITS,
        "the most of single assets that a cycle may hold",
        values.monies,
        MONIES,
        example='["2 ETH", "0.1 BTC"]',
    ),
    "max_exposure": amount(LIMITS, "the most that all cycles may have out at a time", "200 USDT"),
    "max_residue": amount(LIMITS, "the most that left-overs may amount to", "10 USDT"),
    "max_cycle_loss": amount(
        LIMITS, "the most that one cycle may lose, wherever it is stranded", "5 USDT"
    ),
    "max_drawdown": amount(
        LIMITS, "the furthest that results may fall below their highest", "50 USDT"
    ),
    "max_consecutive_losses": whole(
        LIMITS, "so many losses in a row, and a person must look", (1, 50), "losses", 4
    ),
    "max_cycles_per_minute": whole(
        LIMITS, "the most cycles that may begin within a minute", (1, 50), "cycles", 6
    ),
    "cycle_cooldown_seconds": whole(
        LIMITS, "how long the same cycle rests, in seconds", (1, 86_400), "seconds", 30
    ),
    "market_cooldown_seconds": whole(
        LIMITS, "how long a market rests, in seconds", (1, 86_400), "seconds", 5
    ),
    "max_latency_ms": whole(
        LIMITS, "the longest that legs may take in the median, in ms", (1, 60_000), "ms", 1500
    ),
    "max_reject_percent": Setting(
        LIMITS,
        "the most of the last orders that may not be taken, in percent",
        numbers.between("0", "100", "percent"),
        within(0, 100),
        example="20",
    ),
    "loss_budget_percent": Setting(
        LIMITS,
        "how much of what may still be lost today one cycle may spend, in percent",
        numbers.between("0", "100", "percent", above=True),
        within(0, 100),
        example="10",
    ),
    "min_notional": amount(LIMITS, "less than this is refused, with a loss budget", "10 USDT"),
    "hours": Setting(
        LIMITS,
        "the hours of the day in which cycles may begin, UTC",
        values.hours,
        LIST,
        example='["08:00-20:00"]',
    ),
    "rolling_24_hours": Setting(
        LIMITS,
        "whether the daily loss also counts any 24 hours",
        values.boolean,
        BOOLEAN,
        example="true",
    ),
    "proxies": Setting(
        VALUES,
        "assets that stand for a currency in which limits are told",
        values.proxies,
        LIST,
        example='["USD = USDT, haircut 1 %"]',
    ),
    "references": Setting(
        VALUES,
        "the markets by which limits in other assets are valued",
        values.scope,
        LIST,
        example='["BTC/USDT", "ETH/USDT"]',
    ),
    "min_depth": Setting(
        VALUES,
        "what such a market must show on the side taken",
        values.monies,
        MONIES,
        example='["5000 USDT"]',
    ),
    "max_reference_age_ms": whole(
        VALUES, "how old its price may be, in ms", (1, 600_000), "milliseconds", 10_000
    ),
    "breaker_failures": whole(
        BREAKER, "opens after so many in a row that did not complete", (1, 50), "executions", 5
    ),
    "breaker_losses": whole(
        BREAKER, "opens after so many in a row that lost", (1, 50), "executions", 5
    ),
    "breaker_drifts": whole(
        BREAKER, "opens after so many that brought less than planned", (1, 50), "executions", 3
    ),
    "breaker_rejects": whole(
        BREAKER, "opens after so many with an order not taken", (1, 50), "executions", 3
    ),
    "breaker_slow": whole(
        BREAKER, "opens after so many with a leg that was slow", (1, 50), "executions", 3
    ),
    "breaker_max_leg_ms": whole(
        BREAKER, "what is slow for a leg, in ms", (1, 60_000), "milliseconds", 2000
    ),
    "breaker_recovery_seconds": whole(
        BREAKER, "how long it stays open, in seconds", (1, 86_400), "seconds", 300
    ),
}
"""By name, in the order of a file."""
