"""Loading a configuration: the sources are merged, every value is read, and all that is wrong is told at once."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from typed_settings.dict_utils import merge_settings
from typed_settings.types import MergedSettings, OptionInfo

from triarb.exceptions import ConfigError, SourceError, TriarbError, UsageError
from triarb.gateways.ccxt.instances import exchange_class
from triarb.money import Money, plain
from triarb.operations import values
from triarb.operations.config import DEFAULT, FILE, Origin, TradingConfig
from triarb.operations.settings import SETTINGS
from triarb.operations.sources import (
    Given,
    Problem,
    Source,
    command_line,
    dotenv_file,
    environment,
    problem,
    toml_file,
)
from triarb.operations.values import Amount

DOLLARS: Final = frozenset({"USDT", "USDC", "USD", "FDUSD", "TUSD", "DAI", "BUSD", "EUR"})
"""Start assets that the amounts that nobody told make sense in."""

_AMOUNTS: Final = ("max_notional", "max_daily_loss")
_OTHER_AMOUNTS: Final = (
    "max_exposure",
    "max_residue",
    "max_cycle_loss",
    "max_drawdown",
    "min_notional",
)


def load(
    file: str | os.PathLike[str] | None,
    dotenv: str | os.PathLike[str] | None,
    environ: Mapping[str, str] | None,
    options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What a `TradingConfig` is made of, by name; see `TradingConfig.load`.

    Raises:
        ConfigError: `config.invalid`.
    """
    sources = [
        toml_file(Path(FILE if file is None else file), needed=file is not None),
        environment(os.environ if environ is None else environ),
        *([] if dotenv is None else [dotenv_file(Path(dotenv))]),
        command_line(options or {}),
    ]
    del environ  # it holds keys, and a traceback may show what a function holds
    reading = Reading([found for source in sources for found in source.problems])
    loaded = [source(TradingConfig, OPTIONS) for source in sources]
    reading.read(merge_settings(OPTIONS, loaded), sources)
    reading.settle()
    if reading.problems:
        raise ConfigError(_sentence(reading.problems), problems=tuple(reading.problems))
    _check_whole(reading)
    ignored = tuple(name for source in sources for name in source.ignored)
    return {**reading.values, "origins": reading.origins, "ignored": ignored}


@attrs.define
class Reading:
    """The values as they are read, what is wrong with them, and where each comes from."""

    problems: list[Problem]
    given: dict[str, Given] = attrs.field(factory=dict)
    values: dict[str, Any] = attrs.field(factory=dict)
    origins: dict[str, Origin] = attrs.field(factory=lambda: dict.fromkeys(SETTINGS, DEFAULT))

    def read(self, merged: MergedSettings, sources: Iterable[Source]) -> None:
        """Read each value on its own; also those that a later source overrides must make sense."""
        self.given = {name: loaded.value for name, loaded in merged.items()}
        for source in sources:
            for name, given in source.given.items():
                try:
                    value = given.read(given.value, given.typed)
                except UsageError as error:
                    self._wrong(name, error, given)
                    continue
                if given is self.given[name]:
                    self.values[name], self.origins[name] = value, given.origin
                    self._remark(name, given)

    def _remark(self, name: str, given: Given) -> None:
        if given.read in values.SECRETS and self.values[name] is None:
            self._note(name, "a placeholder, so no key")
        elif given.read is SETTINGS[name].read_guide:
            self._note(name, "a fraction")

    def _note(self, name: str, note: str) -> None:
        self.origins[name] = attrs.evolve(self.origins[name], note=note)

    def settle(self) -> None:
        """Put in what depends on other settings, and check what must go together."""
        start = self._start()
        for name in (*_AMOUNTS, *_OTHER_AMOUNTS):
            self._amount(name, start)
        for name in ("max_per_asset", "min_depth"):
            self._listed(name)
        self._balance(start)
        self._claim(start)
        self._edges()
        if self.values.get("live") and self.values.get("sandbox"):
            self._wrong("live", UsageError(
                "sandbox is true as well", code="config.contradiction", hint="say which you mean"
            ))  # fmt: skip
        if "exchange" in self.values:
            try:
                exchange_class(self.values["exchange"])
            except SourceError as error:
                self._wrong("exchange", error)

    def _start(self) -> str:
        if "start" in self.values:
            return str(self.values["start"])
        for name in _AMOUNTS:
            amount = self.values.get(name)
            if amount is not None and amount.currency is not None:
                self._note("start", f"the currency of {name}")
                self.values["start"] = self._counted(amount.currency)
                return str(self.values["start"])
        return DEFAULT_START

    def _counted(self, currency: str) -> str:
        """The asset that a limit in `currency` is counted in."""
        proxies = {proxy.currency: proxy.asset for proxy in self.values.get("proxies", ())}
        return str(proxies.get(currency, currency))

    def _listed(self, name: str) -> None:
        """Amounts of several assets, each of which must be told."""
        told: tuple[Amount, ...] = self.values.get(name, ())
        if any(amount.currency is None for amount in told):
            why, hint = "an amount has no asset", 'write ["2 ETH", "0.1 BTC"]'
            self._wrong(name, UsageError(why, code="config.currency", hint=hint))
        elif told:
            self.values[name] = tuple(amount.in_("") for amount in told)

    def _amount(self, name: str, start: str) -> None:
        amount: Amount | None = self.values.get(name)
        if amount is None:
            if name in self.given or start == DEFAULT_START or name in _OTHER_AMOUNTS:
                return  # wrong already, or as it stands in the class
            if start in DOLLARS:
                self.values[name] = Money(DEFAULTS[name].amount, start)
                return
            message = f"nobody told it in {start}, and its default is in dollars"
            hint = f'write {name} = "0.01 {start}" or what you mean'
            self.problems.append(
                problem("config.required", message, hint, source="default", spelt=name)
            )
            return
        self.values[name] = amount.in_(start)
        if amount.currency is None:
            self._note(name, f"{start} assumed")
        elif self._counted(amount.currency) != start and not self.values.get("references"):
            why = f"cycles start in {start}"
            hint = f"write it in {start}, or declare proxies or references to value it by"
            self._wrong(name, UsageError(why, code="config.currency", hint=hint))

    def _balance(self, start: str) -> None:
        told: tuple[Amount, ...] | None = self.values.get("balance")
        if told is None:
            self.values["balance"] = (Money(DEFAULTS["balance"][0].amount, start),)
            return
        self.values["balance"] = held = tuple(amount.in_(start) for amount in told)
        if any(amount.currency is None for amount in told):
            self._note("balance", f"{start} assumed")
        if len({money.currency for money in held}) < len(held) or start not in {
            money.currency for money in held
        }:
            why, hint = f"it must hold {start}, once", f'add "1000 {start}": cycles start in it'
            self._wrong("balance", UsageError(why, code="config.currency", hint=hint))

    def _claim(self, start: str) -> None:
        told: tuple[Amount, ...] | None = self.values.get("claim")
        if told is None:
            return
        self.values["claim"] = claimed = tuple(amount.in_(start) for amount in told)
        if any(amount.currency is None for amount in told):
            self._note("claim", f"{start} assumed")
        if len({money.currency for money in claimed}) < len(claimed):
            why, hint = f"it tells {start} twice", "tell each asset once"
            self._wrong("claim", UsageError(why, code="config.contradiction", hint=hint))

    def _edges(self) -> None:
        least, most = (
            self.values.get(name, DEFAULTS[name]) for name in ("min_edge_bps", "max_edge_bps")
        )
        if least > most:
            name = "min_edge_bps" if "min_edge_bps" in self.given else "max_edge_bps"
            why = f"the least edge, {plain(least)} bps, is above the largest, {plain(most)} bps"
            self._wrong(
                name, UsageError(why, code="config.contradiction", hint="nothing could pass")
            )

    def _wrong(self, name: str, error: TriarbError, given: Given | None = None) -> None:
        given = given or self.given.get(name)
        origin = given.origin if given else DEFAULT
        self.problems.append(
            problem(
                error.code,
                error.message,
                error.hint,
                source=origin.source,
                spelt=origin.name or name,
                value=given.shown if given else None,
            )
        )


def _check_whole(reading: Reading) -> None:
    """Whether values that each make sense also do together.

    Raises:
        ConfigError: they do not.
    """
    config = TradingConfig(**reading.values, origins=reading.origins)
    for make in (config.limits, config.breaker):
        try:
            make()
        except UsageError as error:
            found = problem(
                "config.contradiction",
                error.message,
                error.hint,
                source="the limits together",
                spelt=None,
            )
            reading.problems.append(found)
    if reading.problems:
        raise ConfigError(_sentence(reading.problems), problems=tuple(reading.problems))


def _sentence(problems: list[Problem]) -> str:
    lines = [_line(found) for found in problems]
    if len(lines) == 1:
        return lines[0]
    return "\n  ".join([f"{len(lines)} settings cannot be used:", *lines])


def _line(found: Problem) -> str:
    told = found["setting"] or ""
    if found["value"] is not None:
        told = f"{told}={found['value']}"
    where = f"{found['source']}, {told}" if told else found["source"]
    hint = f" ({found['hint']})" if found["hint"] else ""
    return f"{where}: {found['message']}{hint}"


DEFAULTS: Final[dict[str, Any]] = {
    name: getattr(attrs.fields(TradingConfig), name).default for name in SETTINGS
}
DEFAULT_START: Final[str] = DEFAULTS["start"]
OPTIONS: Final = tuple(
    OptionInfo(
        parent_cls=TradingConfig,
        path=name,
        cls=object,  # read by our own readers; an attrs class here would be taken for nested settings
        default=default,
        has_no_default=False,
        default_is_factory=False,
        is_secret=SETTINGS[name].is_secret,
    )
    for name, default in DEFAULTS.items()
)
"""The settings, as typed-settings merges them."""
