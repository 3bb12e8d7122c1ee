"""Arming: what production needs before a single order goes there, and the one way to get the permission.

`arm` looks at everything itself: it is told a configuration, and what a person typed. Each condition is looked at in its
own right, and any that is missing, cannot be read or raises leaves production unarmed.
"""

import os
from collections.abc import Mapping
from typing import Final

import attrs

from triarb.clock import NS_PER_SECOND, Clock, SystemClock, iso
from triarb.exceptions import TradingRefused
from triarb.gateways.ccxt.armed import SEAL, Armed, fingerprint
from triarb.gateways.ccxt.orders import FINDS_BY_CLIENT_ID
from triarb.ledger import SqlLedger, default_path
from triarb.model import Examined, Granted, LedgerEvent, LimitSet, Refused
from triarb.operations.config import TradingConfig
from triarb.operations.digest import digest
from triarb.operations.evidence import Evidence, rehearsed, strangers
from triarb.operations.limits import RAMP
from triarb.operations.sources import CONFIRMATION

CYCLES: Final = 10
"""How many clean cycles must have been rehearsed on the configuration."""

EXAMINED_SECONDS: Final = 24 * 3600
"""How long an examination counts."""

ARMED_SECONDS: Final = 24 * 3600
"""How long arming lasts; then somebody has to do it again."""

UNATTENDED: Final = ("CI", "CONTINUOUS_INTEGRATION", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")
"""Variables of machines that test: where one is set, nothing is armed."""

DEFAULT_ACCOUNT: Final = "main"
"""What every account is called that nobody named: it names none."""


@attrs.frozen(kw_only=True)
class Facts:
    """All that arming depends on.

    Attributes:
        live: whether the configuration says so.
        keys: whether it has a key and its secret.
        found: whether orders can be found again on the exchange, so that they can be proven.
        account: the account's name.
        typed: what a person typed as that name; None where nobody was asked.
        told: what the environment gives as that name; None where it gives none.
        unattended: which variable says that this is a machine that tests; empty where none does.
        configuration: the digest of strategy, risk and markets.
        key: the fingerprint of the API key.
        examined: the last examination in the account's ledger.
        evidence: what was rehearsed.
        strangers: what ran on the account's ledger and is not of it.
        now_ns: when.
    """

    live: bool
    keys: bool
    found: bool
    account: str
    typed: str | None
    told: str | None
    unattended: str
    configuration: str
    key: str
    examined: Examined | None
    evidence: Evidence
    strangers: tuple[str, ...]
    now_ns: int


def missing(facts: Facts) -> tuple[Refused, ...]:
    """What production still needs; empty where nothing is missing. Pure."""
    return tuple(
        refused
        for refused in (
            _configuration(facts),
            _keys(facts),
            _exchange(facts),
            _name(facts),
            _confirmation(facts),
            _attended(facts),
            _examination(facts),
            _cycles(facts),
            _halt(facts),
            _ledger(facts),
        )
        if refused is not None
    )


async def arm(
    config: TradingConfig,
    *,
    typed: str | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Armed:
    """Arm production for the account of `config`, if nothing is missing; it is journalled in its ledger.

    Where the configuration is another than the one that was armed last, the ramp begins anew.

    Args:
        config: the configuration.
        typed: what a person typed as the account's name; None where nobody was asked.
        environ: the environment; None is that of the process.
        clock: tells the time; None is the machine's.

    Raises:
        TradingRefused: ``arming.refused``, with everything that is missing.
        SecretError: a key cannot be had, or not safely.
        LedgerError: a ledger cannot be read, or is in use.
    """
    clock = clock or SystemClock()
    at_ns = clock.now_ns()
    variables = os.environ if environ is None else environ
    async with SqlLedger(live_ledger(config)) as ledger:
        facts = await look(config, ledger, typed=typed, environ=variables, now_ns=at_ns)
        lacking = missing(facts)
        if lacking:
            raise TradingRefused(
                "; ".join(["production is not armed", *(refused.sentence for refused in lacking)]),
                code="arming.refused",
                hint="nothing was sent; triarb doctor says what is examined",
            )
        until_ns = at_ns + ARMED_SECONDS * NS_PER_SECOND
        last = _last_granted(ledger)
        events: list[LedgerEvent] = []
        if last != facts.configuration and RAMP in ledger.portfolio().limits:
            anew = "arming: another configuration"
            events.append(LimitSet(at_ns, RAMP, "", anew, loosens=False))
        how = "typed" if facts.typed is not None else f"{CONFIRMATION} in the environment"
        events.append(Granted(at_ns, facts.configuration, facts.account, facts.key, until_ns, how))
        await ledger.append(*events)
    return Armed(
        SEAL,
        exchange=config.exchange,
        account=facts.account,
        key=facts.key,
        since_ns=at_ns,
        until_ns=until_ns,
    )


async def look(
    config: TradingConfig,
    ledger: SqlLedger,
    *,
    typed: str | None,
    environ: Mapping[str, str],
    now_ns: int,
) -> Facts:
    """The facts as they are now; `ledger` is the account's on production.

    Raises:
        SecretError: a key cannot be had, or not safely.
        LedgerError: a ledger cannot be read.
    """
    configuration = digest(config, "live")
    credentials = config.credentials()
    return Facts(
        live=config.live,
        keys=credentials is not None,
        found=config.exchange in FINDS_BY_CLIENT_ID,
        account=config.account,
        typed=typed,
        told=environ.get(CONFIRMATION),
        unattended=next((name for name in UNATTENDED if _is_set(environ.get(name))), ""),
        configuration=configuration,
        key="" if credentials is None else fingerprint(config.exchange, credentials),
        examined=ledger.examined,
        evidence=await rehearsed(config, configuration),
        strangers=strangers(ledger, config),
        now_ns=now_ns,
    )


def live_ledger(config: TradingConfig) -> os.PathLike[str]:
    """The ledger's file of the account on production."""
    return config.ledger or default_path(config.exchange, "live", config.account)


def _is_set(value: str | None) -> bool:
    return value is not None and value.strip().lower() not in {"", "0", "false", "no"}


def _last_granted(ledger: SqlLedger) -> str | None:
    last = None
    for event in ledger.events():
        if isinstance(event, Granted):
            last = event.configuration
    return last


def _configuration(facts: Facts) -> Refused | None:
    if facts.live:
        return None
    return Refused("arming.live", "the configuration does not say live = true")


def _keys(facts: Facts) -> Refused | None:
    if facts.keys and facts.key:
        return None
    return Refused("arming.keys", "there is no API key with its secret")


def _exchange(facts: Facts) -> Refused | None:
    if facts.found:
        return None
    return Refused("arming.exchange", "its orders could not be found again by our ids")


def _name(facts: Facts) -> Refused | None:
    if facts.account and facts.account != DEFAULT_ACCOUNT:
        return None
    return Refused(
        "arming.account",
        f"the account has no name of its own ({DEFAULT_ACCOUNT} is everybody's): set account",
        {"account": facts.account},
    )


def _confirmation(facts: Facts) -> Refused | None:
    given = [name for name in (facts.typed, facts.told) if name is not None]
    if given and all(name == facts.account for name in given):
        return None
    if not given:
        sentence = (
            f"nobody gave the account's name: type it, or set {CONFIRMATION} in the environment"
        )
    else:
        sentence = f"the name that was given is not that of the account {facts.account}"
    return Refused("arming.confirmation", sentence)


def _attended(facts: Facts) -> Refused | None:
    if not facts.unattended:
        return None
    return Refused(
        "arming.unattended",
        f"{facts.unattended} is set, so this is a machine that tests",
        {"variable": facts.unattended},
    )


def _examination(facts: Facts) -> Refused | None:
    seen, now_ns = facts.examined, facts.now_ns
    if seen is None:
        why = "triarb doctor has not examined this account"
    elif (seen.configuration, seen.account, seen.key) != (
        facts.configuration,
        facts.account,
        facts.key,
    ):
        why = "the last examination was of another configuration, account or key"
    elif seen.failed:
        why = f"the last examination failed: {', '.join(seen.failed)}"
    elif not 0 <= now_ns - seen.at_ns <= EXAMINED_SECONDS * NS_PER_SECOND:
        why = f"the last examination is of {iso(seen.at_ns)}"
    else:
        return None
    return Refused("arming.doctor", f"{why}: run triarb doctor")


def _cycles(facts: Facts) -> Refused | None:
    evidence = facts.evidence
    if evidence.unproven:
        return Refused(
            "arming.unproven",
            f"orders of rehearsals have no proven end: {', '.join(evidence.unproven)}",
        )
    if evidence.cycles >= CYCLES:
        return None
    return Refused(
        "arming.cycles",
        f"{evidence.cycles} of {CYCLES} clean paper or sandbox cycles were rehearsed on this configuration",
        {"cycles": evidence.cycles, "needed": CYCLES},
    )


def _halt(facts: Facts) -> Refused | None:
    if facts.evidence.halts >= 1:
        return None
    return Refused("arming.halt", "no halt was rehearsed: triarb halt, and triarb resume")


def _ledger(facts: Facts) -> Refused | None:
    if not facts.strangers:
        return None
    return Refused("arming.ledger", f"its ledger is another's: {'; '.join(facts.strangers)}")
