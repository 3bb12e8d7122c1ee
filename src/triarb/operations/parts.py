"""Parts: what a configuration gives an engine: gateway, limits, finder, start and the ledger's place."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from triarb.exceptions import LedgerError, TradingRefused, UsageError
from triarb.finders import BoundedCycleFinder
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.ccxt.armed import Armed
from triarb.gateways.ccxt.instances import data_instance, exchange_class
from triarb.gateways.ccxt.orders import check_look_up
from triarb.gateways.ccxt.sandboxes import enter_sandbox
from triarb.gateways.gateway import ExchangeGateway
from triarb.gateways.paper import PaperGateway
from triarb.ledger import SqlLedger, default_path
from triarb.market.fees import FeeSchedule
from triarb.model import Configured
from triarb.money import plain
from triarb.operations.config import TradingConfig
from triarb.operations.digest import digest
from triarb.operations.limits import LimitsInForce, drain, limits_file
from triarb.operations.ramp import Ramp, WhileArmed
from triarb.risk import FirstRefusal, RiskLimits, RiskPolicy

Mode = Literal["paper", "sandbox"]
"""Where a configuration may trade by itself. Production is not among them: that takes an `Armed`."""

Connect = Callable[..., CcxtGateway]
"""Makes a gateway of what `CcxtGateway` is made of."""


@attrs.frozen
class Parts:
    """The parts of an engine.

    Attributes:
        gateway: not entered yet.
        risk: everything that may say no: the limits, those set by hand, the circuit breaker, and on production the ramp.
        limits: the limits as they are configured.
        finder: looks for cycles of so many legs from `start`.
        start: the asset that cycles start in.
        ledger: the ledger's file.
        notes: what a person should know of how the mode was chosen.
        configured: what `begin` journals, but for the time.
        options: what else an `Engine` is told, by keyword: what of the account is its own, and whether a halt freezes.
    """

    gateway: ExchangeGateway
    risk: RiskPolicy
    limits: RiskLimits
    finder: BoundedCycleFinder
    start: tuple[str, ...]
    ledger: Path
    configured: Configured
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def of(
        cls,
        config: TradingConfig,
        mode: Mode | None = None,
        *,
        armed: Armed | None = None,
        connect: Connect = CcxtGateway,
    ) -> "Parts":
        """The parts that `config` describes, for `mode`; None chooses as `choose_mode` does, or production if `armed`.

        `connect` makes the gateway to the exchange, as `CcxtGateway` does, through another session perhaps.

        Raises:
            TradingRefused: `gateway.production` where None is to choose and `live` is set; what the exchange's sandbox
                is refused for, where it is asked for by name.
            SecretError: a key cannot be had, or not safely.
            UsageError: a sandbox is asked for, and there are no keys.
        """
        gateway: ExchangeGateway
        chosen: str
        notes: tuple[str, ...]
        if armed is not None and mode is None:
            chosen, notes = "live", (f"live: {armed.account} on {armed.exchange} is armed",)
            gateway = _with_keys(config, armed, connect)
        else:
            chosen, notes = choose_mode(config) if mode is None else (mode, ())
            paper = chosen == "paper"
            gateway = _paper(config, connect) if paper else _with_keys(config, None, connect)
        start = (config.start,)
        ledger = config.ledger or default_path(config.exchange, chosen, config.account)
        risk: RiskPolicy = LimitsInForce(config, ledger)
        if chosen == "live" and armed is not None:
            risk = FirstRefusal(WhileArmed(armed), risk, Ramp())
        return cls(
            gateway,
            risk,
            config.limits(),
            BoundedCycleFinder(max_legs=config.max_legs, start=start),
            start,
            ledger,
            Configured(0, digest(config, chosen), config.exchange, chosen, config.account),
            notes,
            _options(config),
        )

    async def begin(self, ledger: SqlLedger, now_ns: int) -> None:
        """Journal limits that wait beside the ledger, and what the engine is about to run on. Call it before the engine.

        Raises:
            LedgerError: ``ledger.other_account`` where another exchange, mode or account ran on it last; else the journal's
                own.
        """
        last, mine = ledger.configured, self.configured
        if last is not None and _whose(last) != _whose(mine):
            raise LedgerError(
                f"{last.mode} of {last.account} on {last.exchange} ran on {ledger!r}",
                code="ledger.other_account",
                hint="each exchange, mode and account has a ledger of its own: name another file, or none",
            )
        if ledger.path is not None:
            await drain(ledger, limits_file(ledger.path))
        await ledger.append(attrs.evolve(mine, at_ns=now_ns))


def _options(config: TradingConfig) -> dict[str, Any]:
    claim = {money.currency: money.amount for money in config.claim}
    return {
        "claim": claim or None,
        "foreign_prefixes": config.foreign_prefixes,
        "watch_seconds": float(config.watch_seconds),
        "freeze": config.freeze,
    }


def choose_mode(config: TradingConfig) -> tuple[Mode, tuple[str, ...]]:
    """The exchange's own sandbox if there are keys and it has one, else paper; and why.

    Raises:
        TradingRefused: `gateway.production`: the configuration asks for production.
    """
    if config.live:
        raise TradingRefused(
            "live = true asks for production, and production is not armed",
            code="gateway.production",
            hint="leave it false for paper or the exchange's sandbox; triarb doctor says what production needs",
        )
    if not config.sandbox:
        return "paper", ("paper: sandbox is false, and live is, too",)
    notes = []
    told = [name for name in ("api_key", "secret_key") if getattr(config, name) is not None]
    if not told:
        notes.append("paper: no api_key and no secret_key are set")
    elif len(told) == 1:
        notes.append(f"paper: of api_key and secret_key only {told[0]} is set")
    refusal = _sandbox_refusal(config.exchange)
    if refusal is not None:
        notes.append(f"paper: {refusal.message}")
    return ("paper", tuple(notes)) if notes else ("sandbox", ("sandbox: keys are set",))


def why_paper(config: TradingConfig) -> tuple[str, ...]:
    """Why a configuration that says where to trade comes to paper nevertheless; empty where it does not."""
    try:
        mode, notes = choose_mode(config)
    except TradingRefused as refusal:
        return (f"paper: {refusal.message}",)
    return notes if mode == "paper" else ()


def _sandbox_refusal(exchange: str) -> TradingRefused | None:
    """Why the exchange's sandbox cannot be traded in; None if it can."""
    try:
        enter_sandbox(data_instance(exchange_class(exchange), timeout_ms=1000))
        check_look_up(exchange)
    except TradingRefused as error:
        return error
    return None


def _paper(config: TradingConfig, connect: Connect) -> PaperGateway:
    """No key comes near it."""
    return PaperGateway(
        connect(config.exchange, poll_seconds=float(config.interval_seconds)),
        balances={money.currency: plain(money.amount) for money in config.balance},
        fees=None if config.fee_bps is None else FeeSchedule.flat(config.fee_bps),
        latency_ms=float(config.latency_ms),
    )


def _whose(configured: Configured) -> tuple[str, str, str]:
    return configured.exchange, configured.mode, configured.account


def _with_keys(config: TradingConfig, armed: Armed | None, connect: Connect) -> CcxtGateway:
    """The exchange's sandbox, or, armed, its production."""
    credentials = config.credentials()
    if credentials is None:
        raise UsageError(
            "a sandbox needs a key and its secret",
            code="config.required",
            hint="set api_key and secret_key, or trade on paper",
        )
    return connect(
        config.exchange,
        credentials=credentials,
        sandbox=armed is None,
        armed=armed,
        poll_seconds=float(config.interval_seconds),
    )
