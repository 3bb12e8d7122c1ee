"""TradingConfig: what a bot is told, each value knowing where it comes from."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import attrs

from triarb.gateways.ccxt.credentials import Credentials
from triarb.money import Money
from triarb.operations.secrets import Secret, reveal
from triarb.risk import RiskLimits

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
    """What a bot is told: exchange, keys, limits. `load` reads one; nothing in it can make triarb trade for real.

    Attributes:
        exchange: ccxt's id of the exchange.
        start: the asset that cycles start and end in.
        api_key: the API key, or where it is.
        secret_key: its secret, or where it is.
        passphrase: the passphrase, on the exchanges that have one.
        sandbox: trade in the exchange's sandbox if there are keys; else on paper.
        live: trade on production, which triarb refuses today, whatever this says.
        max_notional: the most that a cycle may spend.
        max_daily_loss: the most that may be lost on a UTC day.
        min_edge_bps: the least net edge of a cycle.
        max_edge_bps: a larger edge is taken for bad data.
        max_slippage_bps: how much worse than planned a leg may trade; each order's limit price holds it to nothing.
        max_legs: the most legs of a cycle.
        max_age_ms: the oldest book.
        max_skew_ms: the furthest apart that the books of one cycle may have been received.
        allow: assets and symbols; empty allows all.
        deny: assets and symbols.
        interval_seconds: the time between two looks at the exchange.
        ledger: the ledger's file; None is the one of this exchange and mode in the user's data folder.
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
        ignored: the variables of `.env` that look like triarb's, and are not.
    """

    exchange: str = "binanceus"
    start: str = "USDT"
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
    interval_seconds: Decimal = Decimal(1)
    ledger: Path | None = None
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
        """The limits, as a risk policy."""
        return RiskLimits(
            min_edge_bps=self.min_edge_bps,
            max_notional=self.max_notional,
            max_daily_loss=self.max_daily_loss,
            max_edge_bps=self.max_edge_bps,
            max_legs=self.max_legs,
            max_age_ms=self.max_age_ms,
            max_skew_ms=self.max_skew_ms,
            allow=self.allow,
            deny=self.deny,
        )
