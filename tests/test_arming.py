"""Arming: production trades only where every condition holds; nothing arms it by accident, and the gateway demands it."""

import asyncio
import copy
import functools
import json
import os
import pickle
import shutil
from decimal import Decimal
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from triarb import CcxtGateway, Engine, SqlLedger, TradingConfig
from triarb.cli import main
from triarb.clock import NS_PER_SECOND, ManualClock, SystemClock
from triarb.exceptions import ConfigError, LedgerError, SecretError, TradingRefused, UsageError
from triarb.gateways.ccxt import Credentials
from triarb.gateways.ccxt.armed import GRACE_NS, SEAL, Armed, fingerprint
from triarb.ledger import default_path
from triarb.model import (
    Configured,
    EpochStarted,
    Examined,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fee,
    Granted,
    Halted,
    LegResult,
    LimitSet,
    Market,
    Order,
    Outcome,
    Plan,
    PlannedLeg,
    Provenance,
    Resumed,
    RunEnded,
    Side,
    SubmissionStatus,
    TimeInForce,
)
from triarb.operations import Parts
from triarb.operations.arming import (
    ARMED_SECONDS,
    CYCLES,
    EXAMINED_SECONDS,
    Facts,
    arm,
    missing,
)
from triarb.operations.digest import digest
from triarb.operations.evidence import Evidence
from triarb.operations.limits import RAMP
from triarb.operations.sources import CONFIRMATION
from triarb.testing import planted_triangle
from triarb.testing.loopback import LoopbackExchange, in_background

D = Decimal
ONE = D(1)
KEYS = {"API_KEY": "loopback-key", "SECRET_KEY": "loopback-secret"}
GOOD = 'exchange = "binance"\naccount = "ada"\nlive = true\nmin_edge_bps = 5\n'
ENV = {**KEYS, CONFIRMATION: "ada"}
HELD = Credentials("loopback-key", "loopback-secret")
ORDER = Order("o1", "BTC/USDT", Side.BUY, D(1), D(101))
PLAN = Plan(
    "BTC>USDT",
    "USDT",
    (
        PlannedLeg(
            Market("BTC/USDT", "BTC", "USDT"), Side.BUY, D(1), D(101), Fee(D("0.001"), Provenance.OVERRIDE),
            given=D(100), received=D(1), worst_given=D(101), worst_received=D(1),
        ),
    ),
    expected_result=D(1), worst_result=D(0), stranded_losses=(), gap_bps=D(50), decided_ns=0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files."""
    monkeypatch.chdir(tmp_path)


def load(toml=GOOD, env=ENV):
    """The configuration of these texts."""
    Path("triarb.toml").write_text(toml)
    return TradingConfig.load(environ=env)


async def rehearse(
    config,
    *,
    mode="paper",
    cycles=CYCLES,
    halt=True,
    result=ONE,
    path=None,
    outcome=Outcome.COMPLETED,
):
    """Write what a rehearsal leaves in a ledger."""
    async with SqlLedger(path or default_path(config.exchange, mode, config.account)) as ledger:
        parts_of = Configured(1, digest(config, mode), config.exchange, mode, config.account)
        await ledger.append(parts_of)
        await ledger.append(EpochStarted(1, f"epoch of {ledger!r}"))
        first = ledger.next_number()
        for number in range(first, first + cycles):
            await ledger.append(ExecutionStarted(1, number, PLAN))
            legs = (LegResult(ORDER, (), sent_ns=0, done_ns=1),)
            done = Execution(number, PLAN, legs, outcome, {"USDT": result}, {}, 0, 1)
            await ledger.append(ExecutionEnded(1, done))
        if halt:
            await ledger.append(Halted(1, "a rehearsal"))
            await ledger.append(Resumed(1, "ada"))


async def pass_doctor(config, now_ns=None, **changes):
    """Write what a passed examination leaves in the ledger of production."""
    at_ns = SystemClock().now_ns() if now_ns is None else now_ns
    passed = Examined(at_ns, digest(config, "live"), config.account, fingerprint("binance", HELD))
    async with SqlLedger(
        config.ledger or default_path("binance", "live", config.account)
    ) as ledger:
        await ledger.append(attrs.evolve(passed, **changes))


async def prepared(toml=GOOD):
    """A configuration of which everything holds."""
    config = load(toml)
    await rehearse(config)
    await pass_doctor(config)
    return config


async def refused(config, environ=ENV, **options):
    """Why `arm` refuses."""
    with pytest.raises(TradingRefused) as caught:
        await arm(config, environ=environ, **options)
    assert caught.value.code == "arming.refused"
    return caught.value.message


# -- the conditions, as pure facts ------------------------------------------------------------------------------------

NOW = 10**18
FACTS = Facts(
    live=True, keys=True, found=True, account="ada", typed=None, told="ada", unattended="", configuration="c1",
    key="k1", examined=Examined(NOW, "c1", "ada", "k1"), evidence=Evidence(CYCLES, 1), strangers=(), now_ns=NOW,
)  # fmt: skip


def without(**changes):
    return attrs.evolve(FACTS, **changes)


def test_nothing_is_missing_where_all_is_there():
    """The facts that every other test takes one thing from do arm."""
    assert missing(FACTS) == ()
    assert missing(without(typed="ada", told=None)) == ()


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (without(live=False), "arming.live"),
        (without(keys=False), "arming.keys"),
        (without(key="", examined=Examined(NOW, "c1", "ada", "")), "arming.keys"),
        (without(found=False), "arming.exchange"),
        (without(account="main", told="main", examined=Examined(NOW, "c1", "main", "k1")), "arming.account"),
        (without(told=None), "arming.confirmation"),
        (without(told=""), "arming.confirmation"),
        (without(told="Ada"), "arming.confirmation"),
        (without(typed="adam"), "arming.confirmation"),
        (without(typed="ada", told="bob"), "arming.confirmation"),
        (without(unattended="CI"), "arming.unattended"),
        (without(examined=None), "arming.doctor"),
        (without(examined=Examined(NOW, "c2", "ada", "k1")), "arming.doctor"),
        (without(examined=Examined(NOW, "c1", "bob", "k1")), "arming.doctor"),
        (without(examined=Examined(NOW, "c1", "ada", "k2")), "arming.doctor"),
        (without(examined=Examined(NOW, "c1", "ada", "k1", ("clock",))), "arming.doctor"),
        (without(examined=Examined(NOW + 1, "c1", "ada", "k1")), "arming.doctor"),
        (without(now_ns=NOW + EXAMINED_SECONDS * NS_PER_SECOND + 1), "arming.doctor"),
        (without(evidence=Evidence(CYCLES - 1, 1)), "arming.cycles"),
        (without(evidence=Evidence(CYCLES, 1, ("x",))), "arming.unproven"),
        (without(evidence=Evidence(CYCLES, 0)), "arming.halt"),
        (without(strangers=("paper ran on it",)), "arming.ledger"),
    ],
)  # fmt: skip
def test_each_condition_alone_keeps_it_unarmed(facts, code):
    """Whichever single one does not hold, production stays unarmed, for that reason and no other."""
    assert [refused.code for refused in missing(facts)] == [code]


@pytest.mark.once
@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {
            "live": st.booleans(),
            "keys": st.booleans(),
            "found": st.booleans(),
            "account": st.sampled_from(["ada", "ada", "main", "bob", ""]),
            "typed": st.sampled_from([None, None, "ada", "bob", ""]),
            "told": st.sampled_from([None, "ada", "ada", "main", "true", ""]),
            "unattended": st.sampled_from(["", "", "", "CI"]),
            "examined": st.sampled_from(
                [None, FACTS.examined, FACTS.examined, Examined(NOW, "c1", "ada", "k1", ("key",)), Examined(0, "c1", "ada", "k1")]
            ),
            "evidence": st.builds(
                Evidence, st.sampled_from([0, CYCLES - 1, CYCLES, 99]), st.integers(0, 2), st.sampled_from([(), (), ("x",)])
            ),
            "strangers": st.sampled_from([(), (), ("x",)]),
            "now_ns": st.sampled_from([NOW, NOW, NOW - 1, NOW + 10**18]),
        }
    )
)  # fmt: skip
def test_it_is_armed_exactly_where_all_conditions_hold(changes):
    """Of any facts: nothing is missing if and only if each condition, said once more here, holds."""
    facts = attrs.evolve(FACTS, **changes)
    names = {name for name in (facts.typed, facts.told) if name is not None}
    seen = facts.examined
    holds = (
        facts.live
        and facts.keys
        and facts.found
        and facts.account not in {"", "main"}
        and names == {facts.account}
        and not facts.unattended
        and seen is not None
        and (seen.configuration, seen.account, seen.key) == ("c1", facts.account, "k1")
        and not seen.failed
        and seen.at_ns <= facts.now_ns <= seen.at_ns + 24 * 3600 * NS_PER_SECOND
        and facts.evidence.cycles >= 10
        and facts.evidence.halts > 0
        and not facts.evidence.unproven
        and not facts.strangers
    )
    assert (missing(facts) == ()) is holds


# -- the conditions, as they stand on disk -----------------------------------------------------------------------------


async def test_all_of_it_arms_and_is_journalled():
    """With everything there it arms for a day, for that key, and the ledger says who confirmed how."""
    config = await prepared()
    armed = await arm(config, environ=ENV)
    assert (armed.exchange, armed.account) == ("binance", "ada")
    assert armed.until_ns - armed.since_ns == ARMED_SECONDS * NS_PER_SECOND
    async with SqlLedger(default_path("binance", "live", "ada"), read_only=True) as ledger:
        granted = [event for event in ledger.events() if isinstance(event, Granted)]
    assert [(g.configuration, g.confirmed) for g in granted] == [
        (digest(config, "live"), f"{CONFIRMATION} in the environment")
    ]
    assert "loopback-key" not in repr(armed) + repr(granted)
    assert (await arm(config, environ=KEYS, typed="ada")).account == "ada"


async def test_taking_any_one_away_refuses():
    """Each thing that a person must have done, undone alone, refuses with its own reason and journals nothing."""
    config = await prepared()
    assert "live = true" in await refused(attrs.evolve(config, live=False))
    assert "no API key" in await refused(attrs.evolve(config, api_key=None))
    assert "nobody gave" in await refused(config, KEYS)
    assert "not that of the account" in await refused(config, {**KEYS, CONFIRMATION: "binance"})
    assert "CI is set" in await refused(config, {**ENV, "CI": "true"})
    assert "another configuration" in await refused(load(GOOD + "max_legs = 4\n"))
    assert "0 of 10" in await refused(load(GOOD + "max_notional = 101\n"))
    assert "another configuration, account or key" in await refused(
        load(env={**ENV, "API_KEY": "copied"})
    )
    named = load(GOOD.replace("ada", "main"))
    assert "no name of its own" in await refused(named, {**KEYS, CONFIRMATION: "main"})
    assert "not examined" in await refused(load(GOOD.replace("ada", "bob")))
    later = ManualClock(SystemClock().now_ns() + (EXAMINED_SECONDS + 1) * NS_PER_SECOND)
    assert "the last examination is of" in await refused(config, clock=later)
    await pass_doctor(config, failed=("clock",))
    assert "failed: clock" in await refused(config)
    async with SqlLedger(default_path("binance", "live", "ada"), read_only=True) as ledger:
        assert not [event for event in ledger.events() if isinstance(event, Granted)]


@pytest.mark.parametrize(
    ("rehearsal", "why"),
    [
        ({"cycles": CYCLES - 1}, "9 of 10"),
        ({"outcome": Outcome.SHORT}, "0 of 10"),
        ({"result": D(-1)}, "0 of 10"),
        ({"halt": False}, "no halt"),
        ({"mode": "live"}, "0 of 10"),
        ({"mode": "replay"}, "0 of 10"),
    ],
)
async def test_what_is_no_evidence(rehearsal, why):
    """Too few cycles, cycles that were cut short or brought less than planned, other modes, and no halt prove nothing."""
    config = load()
    mode = rehearsal.get("mode", "paper")
    path = default_path("binance", "paper" if mode == "replay" else mode, "ada")
    await rehearse(config, path=path, **rehearsal)
    await pass_doctor(config)
    assert why in await refused(config)


async def test_an_engine_that_announced_nothing_gives_no_evidence():
    """Cycles of an engine that ran on an unknown configuration do not count under the one before it."""
    config = load()
    await rehearse(config, cycles=5)
    async with SqlLedger(default_path("binance", "paper", "ada")) as ledger:
        await ledger.append(EpochStarted(1, "other"))
        for number in range(6, 16):
            await ledger.append(ExecutionStarted(1, number, PLAN))
            legs = (LegResult(ORDER, (), sent_ns=0, done_ns=1),)
            done = Execution(number, PLAN, legs, Outcome.COMPLETED, {"USDT": D(1)}, {}, 0, 1)
            await ledger.append(ExecutionEnded(1, done))
    await pass_doctor(config)
    assert "5 of 10" in await refused(config)


async def test_paper_that_is_easier_than_the_exchange_is_no_evidence():
    """A stated fee, or orders that arrive sooner than by default, give the configuration another digest."""
    config = load()
    for changes in ({"fee_bps": D(0)}, {"latency_ms": D(0)}):
        eased = attrs.evolve(config, **changes)
        assert digest(eased, "paper") != digest(config, "paper") == digest(config, "live")
        assert digest(eased, "live") == digest(config, "live")
        await rehearse(eased)
    await pass_doctor(config)
    assert "0 of 10" in await refused(config)


async def test_evidence_is_read_across_the_accounts_ledgers():
    """Paper, sandbox and the ledgers that are told beside them add up; one that is told and missing is an error."""
    config = load(GOOD + 'rehearsals = ["mine/x.sqlite"]\n')
    await pass_doctor(config)
    with pytest.raises(LedgerError):
        await arm(config, environ=ENV)
    await rehearse(config, cycles=3)
    await rehearse(config, cycles=3, mode="sandbox", halt=False)
    await rehearse(config, cycles=4, path=Path("mine/x.sqlite"), halt=False)
    assert (await arm(config, environ=ENV)).account == "ada"


async def test_a_copied_ledger_is_no_more_evidence():
    """A copy of a rehearsal, under another name or behind a link, counts each cycle once; what it has more of counts."""
    config = load(GOOD + 'rehearsals = ["copy.sqlite", "link.sqlite"]\n')
    await pass_doctor(config)
    path = default_path("binance", "paper", "ada")
    await rehearse(config, cycles=5)
    shutil.copy(path, "copy.sqlite")
    os.symlink(path, "link.sqlite")  # noqa: PTH211 - in a coroutine
    assert "5 of 10 clean" in await refused(config)
    await rehearse(config, cycles=5, path=Path("copy.sqlite"))
    assert (await arm(config, environ=ENV)).account == "ada"


@pytest.mark.parametrize(
    "event",
    [Configured(1, "x", "binance", "paper", "ada"), Configured(1, "x", "binance", "live", "bob"),
     RunEnded(1, 1, "binance", "paper", {}, {}), RunEnded(1, 1, "okx", "live", {}, {})],
)  # fmt: skip
async def test_a_ledger_on_which_something_else_ran_is_not_armed(event):
    """Paper's balances, or another account's, are never taken for those of production."""
    config = await prepared(GOOD + 'ledger = "mine.sqlite"\n')
    async with SqlLedger("mine.sqlite") as ledger:
        await ledger.append(event)
    assert "another's" in await refused(config)


async def test_another_configuration_begins_the_ramp_anew():
    """What was raised for one configuration is not raised for the next; a restart on the same one keeps it."""
    config = await prepared()
    path = default_path("binance", "live", "ada")
    await arm(config, environ=ENV)
    async with SqlLedger(path) as ledger:
        await ledger.append(LimitSet(1, RAMP, "50 USDT", "ada", loosens=True))
    await arm(config, environ=ENV)
    async with SqlLedger(path) as ledger:
        assert ledger.portfolio().limits == {RAMP: "50 USDT"}
    await arm(await prepared(GOOD + "max_legs = 4\n"), environ=ENV)
    async with SqlLedger(path) as ledger:
        assert ledger.portfolio().limits == {}


def test_no_file_gives_the_confirmation():
    """The variable that arms is refused in `.env` and in TOML: a copied file arms nothing."""
    Path(".env").write_text(f"{CONFIRMATION}=ada\n")
    with pytest.raises(ConfigError, match="a file cannot arm production"):
        load()
    Path(".env").unlink()
    with pytest.raises(ConfigError, match="no such setting"):
        load(GOOD + 'arm = "ada"\n')


WORDS = st.sampled_from(
    [
        "true",
        "false",
        "1",
        "",
        "ada",
        "bob",
        "main",
        "binance",
        "okx",
        "loopback-key",
        "loopback-secret",
        "other",
        "5",
        "50",
    ]
)
VARIABLES = st.dictionaries(
    st.sampled_from(
        ["API_KEY", "SECRET_KEY", "SANDBOX", "TRIARB_LIVE", "TRIARB_ACCOUNT", "TRIARB_EXCHANGE", "TRIARB_MIN_EDGE_BPS",
         "TRIARB_FEE_BPS", CONFIRMATION, "CI", "GITHUB_ACTIONS", "LIVE", "PRODUCTION"]
    ),
    WORDS,
    max_size=5,
)  # fmt: skip
LINES = st.lists(
    st.sampled_from(
        ["live = true", "live = false", "sandbox = false", "sandbox = true", 'account = "ada"', 'account = "main"',
         'exchange = "binance"', 'exchange = "okx"', "min_edge_bps = 5", "min_edge_bps = 6", "max_legs = 4", "fee_bps = 0"]
    ),
    max_size=6,
    unique_by=lambda line: line.partition(" ")[0],
)  # fmt: skip


@pytest.mark.once
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.one_of(LINES, st.permutations(GOOD.splitlines())),
    environ=st.one_of(VARIABLES, VARIABLES.map(lambda more: {**ENV, **more}), st.just(ENV)),
    dotenv=st.one_of(st.just({}), VARIABLES),
    typed=st.sampled_from([None, None, None, "ada", "bob", "", "yes"]),
)
async def test_no_input_arms_production_by_accident(tmp_path, lines, environ, dotenv, typed):
    """E11: on a machine where one account is rehearsed and examined, no file, environment or word arms anything else.

    Whatever is told, it arms only if live is true by an explicit word, the account, key and digest are those that were
    examined, that account's name was typed or is in the process's own environment, and no machine that tests runs it.
    """
    if not default_path("binance", "live", "ada").exists():
        await prepared()
    (tmp_path / "x.toml").write_text("\n".join(lines))
    (tmp_path / "x.env").write_text("".join(f"{k}={v}\n" for k, v in dotenv.items()))
    (tmp_path / "x.env").chmod(0o600)
    try:
        config = TradingConfig.load(tmp_path / "x.toml", dotenv=tmp_path / "x.env", environ=environ)
        armed = await arm(config, environ=environ, typed=typed)
    except (ConfigError, TradingRefused, SecretError) as error:
        assert error.code  # noqa: PT017 - either outcome is one
        return
    told = [environ.get("TRIARB_LIVE"), dotenv.get("TRIARB_LIVE")]
    assert config.live
    assert "live = true" in lines or {"true", "1"} & {*told}
    assert (config.exchange, config.account, armed.account) == ("binance", "ada", "ada")
    assert {typed, environ.get(CONFIRMATION)} - {None} == {"ada"}
    assert CONFIRMATION not in dotenv
    assert environ.get("CI", "") in {"", "false"}
    assert environ.get("GITHUB_ACTIONS", "") in {"", "false"}
    assert config.credentials() is not None
    assert config.credentials().key == "loopback-key"
    assert (config.min_edge_bps, config.max_legs) == (D(5), 3)


# -- what it arms ------------------------------------------------------------------------------------------------------


def armed_for(credentials=HELD, *, since_ns=None, seconds=60):
    """A permission as `arm` makes one."""
    since_ns = SystemClock().now_ns() if since_ns is None else since_ns
    key = fingerprint("binance", credentials)
    until_ns = since_ns + seconds * NS_PER_SECOND
    return Armed(SEAL, exchange="binance", account="ada", key=key, since_ns=since_ns, until_ns=until_ns)  # fmt: skip


def test_nothing_else_makes_changes_or_copies_one():
    """It takes the seal of `arming`, and is neither changed, copied, pickled nor shown with a key."""
    armed = armed_for()
    with pytest.raises(TypeError):
        Armed(object(), exchange="binance", account="ada", key="k", since_ns=0, until_ns=2**63)
    with pytest.raises(AttributeError):
        armed.until_ns = 2**63
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(armed)
    assert "ada" in repr(armed)


BUY = Order("triarb1", "BTC/USDT", Side.BUY, D("0.1"), D(100), TimeInForce.IOC)


async def test_the_gateway_demands_it():
    """Unarmed, no order and no cancel leaves for production, not even past the gateway's own check; armed, it does."""
    async with LoopbackExchange(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        make = functools.partial(
            CcxtGateway, "binance", credentials=HELD, sandbox=False, session_factory=exchange.session_factory
        )  # fmt: skip
        async with make() as gateway:
            for acts in (gateway.submit(BUY), gateway.cancel("triarb1", "BTC/USDT")):
                with pytest.raises(TradingRefused) as caught:
                    await acts
                assert caught.value.code == "gateway.production"
            market = {m.symbol: m for m in await gateway.markets()}["BTC/USDT"]
            sneaked = await gateway._own().submit(BUY, market)
            assert sneaked.status is SubmissionStatus.REJECTED
            assert "not armed" in sneaked.reason
            assert {request.method for request in exchange.requests} == {"GET"}
        async with make(armed=armed_for()) as gateway:
            assert gateway.mode == "live"
            assert (await gateway.submit(BUY)).status is SubmissionStatus.ACCEPTED
        posts = [(r.path, r.host) for r in exchange.requests if r.method == "POST"]
        assert posts == [("/api/v3/order", "api.binance.com")]


async def test_it_expires_and_a_cycle_under_way_still_ends():
    """No new cycle after its end; orders for what is under way for a quarter of an hour more; none after that or before it."""
    clock = ManualClock(SystemClock().now_ns())
    armed = armed_for(since_ns=clock.now_ns(), seconds=10)
    for offset_ns, passes in (
        (0, True), (10 * NS_PER_SECOND, True), (10 * NS_PER_SECOND + GRACE_NS - 1, True),
        (10 * NS_PER_SECOND + GRACE_NS, False), (-1, False),
    ):  # fmt: skip
        now_ns = armed.since_ns + offset_ns
        if passes:
            armed.check("binance", HELD, now_ns, grace=True)
        else:
            with pytest.raises(TradingRefused, match="was armed from"):
                armed.check("binance", HELD, now_ns, grace=True)
    with pytest.raises(TradingRefused, match="was armed from"):
        armed.check("binance", HELD, armed.until_ns, grace=False)
    async with LoopbackExchange(
        planted_triangle(), balances={"USDT": "1000"}, clock=clock
    ) as exchange:
        gateway = CcxtGateway(
            "binance", credentials=HELD, sandbox=False, armed=armed, clock=clock,
            session_factory=exchange.session_factory,
        )  # fmt: skip
        async with gateway:
            await clock.sleep(10 + GRACE_NS / NS_PER_SECOND)
            with pytest.raises(TradingRefused) as caught:
                await gateway.submit(BUY)
            assert caught.value.code == "arming.expired"
            assert not exchange.posts()


def test_it_fits_one_account_of_one_exchange():
    """Another key, another exchange, a sandbox and no credentials do not take it."""
    armed = armed_for()
    for credentials, exchange in ((Credentials("k2", "s2"), "binance"), (HELD, "okx")):
        with pytest.raises(TradingRefused) as caught:
            CcxtGateway(
                exchange, credentials=attrs.evolve(credentials, password="p"), sandbox=False, armed=armed
            )  # fmt: skip
        assert caught.value.code == "arming.other_account"
    for options in ({"sandbox": True, "credentials": HELD}, {"sandbox": False}):
        with pytest.raises(UsageError):
            CcxtGateway("binance", armed=armed, **options)
    with pytest.raises(TradingRefused, match="was armed from"):
        CcxtGateway("binance", credentials=HELD, sandbox=False, armed=armed_for(since_ns=0))


@pytest.fixture
def exchange(monkeypatch):
    """What production's hosts are in a test: a loopback exchange."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as opened:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", opened.session_factory
        )
        yield opened


async def test_the_first_cycles_on_production_are_the_smallest(exchange):
    """Armed, the engine trades a cycle on production's hosts at the exchange's minimum, and no more until it is raised."""
    config = await prepared(GOOD + "interval_seconds = 0.01\n")
    await run_one(config)
    spent = [D(r.params["quantity"]) * D(r.params["price"]) for r in exchange.requests if r.client_id and r.method == "POST"]  # fmt: skip
    assert len(spent) == 3
    assert D(5) < spent[0] < D(10)
    assert {r.host for r in exchange.requests if r.method == "POST"} == {"api.binance.com"}
    async with SqlLedger(default_path("binance", "live", "ada")) as ledger:
        assert ledger.configured == Configured(
            ledger.configured.at_ns, digest(config, "live"), "binance", "live", "ada"
        )
        await ledger.append(LimitSet(1, RAMP, "40 USDT", "ada", loosens=True))
    exchange.requests.clear()
    await run_one(config)
    [first, *_] = [r for r in exchange.requests if r.client_id and r.method == "POST"]
    assert D(20) < D(first.params["quantity"]) * D(first.params["price"]) <= D(40)


async def run_one(config):
    """Arm, and trade one cycle."""
    parts = Parts.of(config, armed=await arm(config, environ=ENV))
    assert parts.notes == ("live: ada on binance is armed",)
    async with parts.gateway as gateway, SqlLedger(parts.ledger) as ledger:
        await parts.begin(ledger, SystemClock().now_ns())
        engine = Engine(
            gateway, risk=parts.risk, finder=parts.finder, start=parts.start, ledger=ledger
        )
        report = await engine.run(cycles=1)
    assert [execution.outcome for execution in report.executions] == [Outcome.COMPLETED]


async def test_no_new_cycle_after_it_expired(exchange):
    """An engine whose arming is over refuses every opportunity, and sends nothing."""
    config = await prepared()
    armed = await arm(config, environ=ENV)
    parts = Parts.of(config, armed=armed)
    over = ManualClock(armed.until_ns)
    async with parts.gateway as gateway, SqlLedger(parts.ledger) as ledger:
        engine = Engine(gateway, risk=parts.risk, finder=parts.finder, start=parts.start, ledger=ledger)  # fmt: skip
        async with engine:
            [opportunity] = await engine.scan_once()
            answer = parts.risk.review(opportunity, ledger.portfolio(), over.now_ns())
            assert answer.code == "arming.over"
    assert not exchange.posts()


async def test_a_ledger_is_of_one_account_in_one_mode(exchange):
    """An engine does not begin on a ledger on which another mode or account ran last."""
    config = load('exchange = "binance"\naccount = "ada"\nledger = "mine.sqlite"\n', KEYS)
    sandbox, paper = Parts.of(config), Parts.of(config, "paper")
    async with SqlLedger("mine.sqlite") as ledger:
        await sandbox.begin(ledger, 1)
        with pytest.raises(LedgerError) as caught:
            await paper.begin(ledger, 2)
        assert caught.value.code == "ledger.other_account"
        await sandbox.begin(ledger, 3)


def test_the_command_trades_on_production_only_armed(exchange, capsys):
    """`triarb run` with live = true: refused with all that is missing, by a test's environment too; armed, it trades."""
    config = load(GOOD + "interval_seconds = 0.01\n", KEYS)
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()))
    Path(".env").chmod(0o600)
    command = ["run", "--cycles", "1", "--seconds", "30", "--json"]
    assert main(command) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "arming.refused"
    for why in ("nobody gave", "PYTEST_CURRENT_TEST", "not examined", "0 of 10", "no halt"):
        assert why in error["message"]
    asyncio.run(rehearse(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIRMATION, "ada")
        patch.delenv("PYTEST_CURRENT_TEST")
        assert main(command) == 1
        assert "triarb doctor has not examined" in capsys.readouterr().out
        assert main(["doctor"]) == 0
        capsys.readouterr()
        assert not exchange.posts()
        assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["mode"], report["outcomes"]) == ("live", {"completed": 1})
    assert {r.host for r in exchange.requests if r.client_id} == {"api.binance.com"}
