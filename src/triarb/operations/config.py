"""TradingConfig: what a bot is told, each value knowing where it comes from."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import attrs

from triarb.gateways.ccxt.credentials import Credentials
from triarb.money import Money, Proxy
from triarb.operations.secrets import Secret, reveal
from triarb.pricing import Valuation
from triarb.risk import CircuitBreaker, RiskLimits

FILE: Final = "triarb.toml"
"""The file that is read from the working folder where no other is named."""


@attrs.frozen
class Origin:
    """Where a value comes from.

    Attributes:
        source: in words, such as ``.env``.
        name: as it is spelt there; empty for a default.
        note: what was made of it, such as "USDT assumed".
        file: the file that told it, if one did.
    """

    source: str
    name: str = ""
    note: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        told = f"{self.name} in {self.source}" if self.name else self.source
        return f"{told}; {self.note}" if self.note else told


DEFAULT: Final = Origin("default")

_NOTIONAL: Final = Money(Decimal(100), "USDT")
_DAILY_LOSS: Final = Money(Decimal(20), "USDT")
_BALANCE: Final = Money(Decimal(1000), "USDT")


@attrs.frozen(kw_only=True)
class TradingConfig:
    """What a bot is told: exchange, keys, limits. `load` reads one; alone, nothing in it makes triarb trade for real.

    Attributes:
        exchange: ccxt's id of the exchange.
        start: the asset that cycles start and end in.
        account: the account's name.
        api_key: the API key, or where it is.
        secret_key: its secret, or where it is.
        passphrase: the passphrase, on the exchanges that have one.
        sandbox: trade in the exchange's sandbox if there are keys; else on paper.
        live: trade on production, which wants more than this: see `triarb.operations.arming`.
        max_notional: the most that a cycle may spend.
        max_daily_loss: the most that may be lost on a UTC day.
        min_edge_bps: the least net edge of a cycle.
        max_edge_bps: a larger edge is taken for bad data.
        max_slippage_bps: how much worse than the price that nominated it a leg may trade.
        max_legs: the most legs of a cycle.
        max_age_ms: the oldest book.
        max_skew_ms: the furthest apart that the books of one cycle may have been received.
        allow: assets and symbols; empty allows all.
        deny: assets and symbols.
        max_fee_drift_bps: as this and the next are in `RiskLimits`.
        min_stranded_edge_bps: None is no limit, as for all that follow.
        max_per_asset: by asset.
        max_exposure: of all cycles.
        max_residue: of left-overs.
        max_cycle_loss: of one cycle.
        max_drawdown: below the highest result.
        max_consecutive_losses: until a person looks.
        max_cycles_per_minute: that begin.
        cycle_cooldown_seconds: of the same cycle.
        market_cooldown_seconds: of a market.
        max_latency_ms: of legs, in the median.
        max_reject_percent: of the last orders.
        loss_budget_percent: of what may still be lost.
        min_notional: with a loss budget.
        hours: of the day, UTC.
        rolling_24_hours: whether the daily loss counts any 24 hours, too.
        proxies: what stands for a currency.
        references: the markets that limits in other assets are valued by.
        min_depth: what these must show.
        max_reference_age_ms: how old their prices may be.
        breaker_failures: as this and the next are in `CircuitBreaker`.
        breaker_losses: in a row.
        breaker_drifts: in a row.
        breaker_rejects: in a row.
        breaker_slow: in a row.
        breaker_max_leg_ms: what is slow.
        breaker_recovery_seconds: how long it stays open.
        interval_seconds: the time between two looks at the exchange.
        ledger: the ledger's file; None is the one of this exchange and mode in the user's data folder.
        rehearsals: other ledgers of this account, where it was rehearsed.
        claim: the most that a new ledger opens with; empty takes all that is free.
        foreign_prefixes: how the client ids of others' open orders begin; any other one halts. None leaves all alone that
            are not of another triarb.
        watch_seconds: how often balances and open orders are looked at between executions.
        freeze: whether a halt also forbids orders that bring back what a cycle under way is stranded with.
        balance: what a new paper account opens with.
        fee_bps: one fee for every market on paper; None is what the exchange publishes.
        latency_ms: how long an order takes to arrive on paper.
        audit: whether there is an audit log beside the ledger: ``off``, ``on``, or ``required``, which halts where it
            cannot be written.
        audit_keep_mb: how large the audit log may get before its oldest files are removed; 0 keeps all.
        ack_hours: after how many hours without `triarb ack` no cycle begins; None asks for none.
        dead_man_url: what is called as long as the engine works, or where that address is.
        dead_man_seconds: how often.
        webhook_url: what is told of halts, stuck executions and limits on losses, or where that address is.
        origins: where each value comes from, by name.
        ignored: the variables that look like triarb's, and are not.
    """

    exchange: str = "binanceus"
    start: str = "USDT"
    account: str = "main"
    api_key: Secret | None = None
    secret_key: Secret | None = None
    passphrase: Secret | None = None
    sandbox: bool = True
    live: bool = False
    max_notional: Money = _NOTIONAL
    max_daily_loss: Money = _DAILY_LOSS
    min_edge_bps: Decimal = Decimal(50)
    max_edge_bps: Decimal = Decimal(500)
    max_slippage_bps: Decimal = Decimal(200)
    max_legs: int = 3
    max_age_ms: int = 2000
    max_skew_ms: int = 2000
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_fee_drift_bps: Decimal = Decimal(1)
    min_stranded_edge_bps: Decimal | None = None
    max_per_asset: tuple[Money, ...] = ()
    max_exposure: Money | None = None
    max_residue: Money | None = None
    max_cycle_loss: Money | None = None
    max_drawdown: Money | None = None
    max_consecutive_losses: int | None = None
    max_cycles_per_minute: int | None = None
    cycle_cooldown_seconds: int | None = None
    market_cooldown_seconds: int | None = None
    max_latency_ms: int | None = None
    max_reject_percent: Decimal | None = None
    loss_budget_percent: Decimal | None = None
    min_notional: Money | None = None
    hours: tuple[str, ...] = ()
    rolling_24_hours: bool = True
    proxies: tuple[Proxy, ...] = ()
    references: tuple[str, ...] = ()
    min_depth: tuple[Money, ...] = ()
    max_reference_age_ms: int = 10_000
    breaker_failures: int = 5
    breaker_losses: int = 5
    breaker_drifts: int = 3
    breaker_rejects: int | None = None
    breaker_slow: int | None = None
    breaker_max_leg_ms: int | None = None
    breaker_recovery_seconds: int = 300
    interval_seconds: Decimal = Decimal(1)
    ledger: Path | None = None
    rehearsals: tuple[Path, ...] = ()
    claim: tuple[Money, ...] = ()
    foreign_prefixes: tuple[str, ...] | None = None
    watch_seconds: Decimal = Decimal(60)
    freeze: bool = False
    balance: tuple[Money, ...] = (_BALANCE,)
    fee_bps: Decimal | None = None
    latency_ms: Decimal = Decimal(50)
    audit: str = "on"
    audit_keep_mb: int = 1000
    ack_hours: Decimal | None = None
    dead_man_url: Secret | None = None
    dead_man_seconds: int = 60
    webhook_url: Secret | None = None
    origins: Mapping[str, Origin] = attrs.field(factory=dict, repr=False, eq=False)
    ignored: tuple[str, ...] = attrs.field(default=(), repr=False, eq=False)

    @classmethod
    def load(
        cls,
        file: str | os.PathLike[str] | None = None,
        *,
        dotenv: str | os.PathLike[str] | None = ".env",
        environ: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """The configuration that a TOML file, the environment, a `.env` file and options tell; what is later wins.

        Args:
            file: the TOML file; None is `triarb.toml` in the working folder, if that exists.
            dotenv: the `.env` file, if it exists; None reads none.
            environ: the environment; None is that of the process.
            options: values by name, as given on a command line; those that are None are not given.

        Raises:
            ConfigError: `config.invalid`, with everything that is wrong.
        """
        from triarb.operations.loading import load  # noqa: PLC0415 - it needs this class

        return cls(**load(file, dotenv, environ, options))

    @classmethod
    def from_env(cls) -> Self:
        """What `load` gives of the environment, of `.env` and of `triarb.toml`, under the guide's name for it."""
        return cls.load()

    @property
    def has_keys(self) -> bool:
        """Whether a key and its secret are told; placeholders are none."""
        return self.api_key is not None and self.secret_key is not None

    def credentials(self) -> Credentials | None:
        """The keys, fetched from where they are; None if none are told.

        Raises:
            SecretError: one cannot be had, or not safely.
        """
        key, secret = self._revealed("api_key"), self._revealed("secret_key")
        if key is None or secret is None:
            return None
        password = self._revealed("passphrase")
        return Credentials(
            key.get_secret_value(),
            secret.get_secret_value(),
            password.get_secret_value() if password else None,
        )

    def _revealed(self, name: str) -> Secret | None:
        told: Secret | None = getattr(self, name)
        if told is None or not self.has_keys:
            return None
        return reveal(told, within=self.origins.get(name, DEFAULT).file)

    def address(self, name: str) -> Secret | None:
        """The address that the setting `name` tells, fetched from where it is; None if none is told.

        Raises:
            SecretError: it cannot be had, or not safely.
        """
        told: Secret | None = getattr(self, name)
        if told is None:
            return None
        return reveal(told, within=self.origins.get(name, DEFAULT).file)

    def limits(self) -> RiskLimits:
        """The limits, as a risk policy.

        Raises:
            UsageError: limits that contradict one another.
        """
        told = {name: getattr(self, name) for name in _KEYWORDS}
        valuation = None
        if self.references:
            valuation = Valuation(
                self.references, min_depth=self.min_depth, max_age_ms=self.max_reference_age_ms
            )
        return RiskLimits(valuation=valuation, **told)

    def breaker(self) -> CircuitBreaker:
        """The circuit breaker.

        Raises:
            UsageError: settings of it that make no sense together.
        """
        fields = [field.name for field in attrs.fields(CircuitBreaker)]
        return CircuitBreaker(**{name: getattr(self, f"breaker_{name}") for name in fields})


_KEYWORDS: Final = tuple(
    field.name
    for field in attrs.fields(RiskLimits)
    if field.name in attrs.fields_dict(TradingConfig)
)
"""The settings that are keywords of `RiskLimits`: all but the valuation, which is made of several."""
