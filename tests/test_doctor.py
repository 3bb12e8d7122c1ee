"""The doctor: what it finds in an exchange, a key and a ledger, without ever trading."""

import json
import os
from collections import namedtuple
from decimal import Decimal
from pathlib import Path

import attrs
import ccxt.async_support as ccxt
import pytest
from hypothesis import given, strategies as st

from triarb import CcxtGateway, SqlLedger, TradingConfig
from triarb.cli import main
from triarb.execution.halt import HaltLatch, halt_file
from triarb.gateways.ccxt import examining
from triarb.ledger import default_path
from triarb.market.fees import FeeSchedule
from triarb.model import Level, OrderBook
from triarb.money import ZERO, arithmetic
from triarb.operations import doctor as doctor_module, ledger_checks
from triarb.operations.checks import Verdict
from triarb.operations.digest import digest
from triarb.operations.doctor import examine, judge_clock, smallest_order
from triarb.operations.ledger_checks import judge_durability
from triarb.testing import planted_triangle
from triarb.testing.faults import Answer, Endpoint, FaultRule, Skew
from triarb.testing.loopback import in_background
from triarb.testing.strategies import markets as any_markets

D = Decimal
KEYS = {"API_KEY": "loopback-key", "SECRET_KEY": "loopback-secret"}
HERE = 'exchange = "binance"\naccount = "ada"\n'
LIVE = f"{HERE}live = true\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def exchange(monkeypatch):
    """What Binance's hosts are in a test."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as opened:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", opened.session_factory
        )
        yield opened


def load(toml=LIVE, env=KEYS):
    """The configuration of these texts."""
    Path("triarb.toml").write_text(toml)
    return TradingConfig.load(environ=env)


async def verdicts(config):
    """The verdict of each check by name, and all checks."""
    found = await examine(config)
    return {check.name: check.verdict for check in found.checks}, {c.name: c for c in found.checks}


ALL = [
    "ccxt", "lost orders", "clock", "markets", "fees", "balances", "fee token", "key", "test order", "one engine", "disk",
    "halt", "durable",
]  # fmt: skip


async def test_what_is_well_passes_and_is_journalled(exchange):
    """A key with the right rights, on production: all is ok, only a test order is written, and the ledger knows it passed."""
    config = load()
    found = await examine(config)
    assert [check.name for check in found.checks] == ALL
    assert {check.verdict for check in found.checks} == {Verdict.OK}
    assert (found.mode, found.failed) == ("live", ())
    writes = [(r.path, r.host) for r in exchange.requests if r.method != "GET"]
    assert writes == [("/api/v3/order/test", "api.binance.com")]
    assert not exchange.posts()
    async with SqlLedger(default_path("binance", "live", "ada"), read_only=True) as ledger:
        seen = ledger.examined
    assert (seen.configuration, seen.account, seen.failed) == (digest(config, "live"), "ada", ())
    assert len(seen.key) == 16
    assert "loopback" not in repr((seen, found))


async def test_a_sandbox_is_not_asked_what_it_lacks(exchange):
    """A testnet has no sapi: the key's rights are not told, which is no failure."""
    found, checks = await verdicts(load(HERE))
    assert found.pop("key") is Verdict.NOT_TOLD
    assert set(found.values()) == {Verdict.OK}
    assert "see at the exchange" in checks["key"].mend
    assert {r.host for r in exchange.requests} == {"testnet.binance.vision"}


async def test_paper_sends_nothing_private(exchange):
    """Without keys it looks only; what needs an account is not told."""
    found, _ = await verdicts(load(HERE, {}))
    told = {"fee token", "key", "test order"}
    assert {name for name, verdict in found.items() if verdict is Verdict.NOT_TOLD} == told
    assert {r.method for r in exchange.requests} == {"GET"}
    assert not [r for r in exchange.requests if "timestamp" in r.params]


@pytest.mark.parametrize(
    ("rights", "verdict", "saw"),
    [
        ({"enableWithdrawals": True}, Verdict.FAILED, "it can withdraw"),
        ({"enableWithdrawals": None}, Verdict.FAILED, "unreadable"),
        ({"enableSpotAndMarginTrading": False}, Verdict.FAILED, "cannot trade"),
        ({"ipRestrict": False}, Verdict.WARNING, "any address"),
        ({"enableWithdrawals": "true"}, Verdict.FAILED, "it can withdraw"),
    ],
)
async def test_what_a_key_may_do(exchange, rights, verdict, saw):
    """E13: one that can withdraw is refused, one without an address is warned of, and what cannot be read fails."""
    exchange.rights.update(rights)
    found = await examine(load())
    [key] = [check for check in found.checks if check.name == "key"]
    assert (key.verdict, saw in key.saw) == (verdict, True)
    assert found.failed == (("key",) if verdict is Verdict.FAILED else ())
    async with SqlLedger(default_path("binance", "live", "ada"), read_only=True) as ledger:
        assert ledger.examined.failed == found.failed


async def test_a_wrong_key_fails(exchange):
    """What needs the account fails with the exchange's word, without the key."""
    found = await examine(load(env={**KEYS, "SECRET_KEY": "canary5"}))
    assert {"balances", "key", "test order"} <= set(found.failed)
    assert "canary5" not in repr(found)


async def test_a_clock_that_is_wrong_fails(exchange):
    """The offset is measured against the exchange's own time."""
    exchange.inject(FaultRule(Endpoint.TIME, Skew(5.0)))
    found, checks = await verdicts(load(HERE, {}))
    assert found["clock"] is Verdict.FAILED
    assert "+5000 ms" in checks["clock"].saw or "+4999 ms" in checks["clock"].saw


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 1e5)), min_size=1, max_size=7))
def test_the_clock_is_never_ok_where_it_could_be_wrong(asked):
    """D7: whatever was measured: ok only if the median, with all that it is inexact by, is within a quarter of a second."""
    verdict = judge_clock(asked).verdict
    trips = sorted(trip for _, trip in asked)
    offsets = sorted(abs(offset) for offset, _ in asked)
    if verdict is Verdict.OK:
        assert min(offsets) <= 250
        assert trips[0] / 2 <= 250
    if all(trip > 1001 for trip in trips) or all(offset > 1001 for offset, _ in asked):
        assert verdict is Verdict.FAILED


@given(any_markets("BTC", "USDT"), st.decimals("0.0001", "100000", places=4, allow_nan=False))
def test_the_test_order_keeps_the_minimums(market, price):
    """It is a multiple of the step, and no smaller than any minimum."""
    order = smallest_order(market, price)
    if order is None:
        assert not market.min_amount
        assert not market.min_notional
        return
    with arithmetic():
        assert order.amount * price >= (market.min_notional or ZERO)
        assert order.amount >= (market.min_amount or ZERO)
        assert not market.amount_step or order.amount % market.amount_step == 0


async def test_an_exchange_that_does_not_answer_fails(exchange):
    """Nothing is connected, the ledger is looked at nevertheless, and the failure is journalled."""
    exchange.inject(FaultRule(Endpoint.MARKETS, Answer(503, body="busy")))
    found = await examine(load())
    assert found.failed == ("exchange",)
    assert "durable" in {check.name for check in found.checks}


async def test_an_empty_account_fails(exchange, monkeypatch):
    """With nothing of the start asset, no cycle can begin; with less than a cycle may spend, it warns."""
    found, _ = await verdicts(load(f'{LIVE}start = "BTC"\nmax_notional = "1 BTC"\nmax_daily_loss = "1 BTC"\n'))  # fmt: skip
    assert found["balances"] is Verdict.FAILED
    found, _ = await verdicts(load(f'{LIVE}max_notional = "2000 USDT"\n'))
    assert found["balances"] is Verdict.WARNING


async def test_how_long_the_fee_token_lasts(monkeypatch):
    """What is held of it is counted in cycles, and few of them are a warning."""
    triangle = planted_triangle()
    fees = FeeSchedule.flat(10).paid_in("ETH", "0.75")
    for held, verdict in (("0.0001", Verdict.WARNING), ("50", Verdict.OK)):
        balances = {"USDT": "1000", "ETH": held}
        with in_background(triangle, balances=balances, fees=fees) as opened:
            monkeypatch.setitem(
                CcxtGateway.__init__.__kwdefaults__, "session_factory", opened.session_factory
            )
            found, checks = await verdicts(load())
        assert found["fee token"] is verdict
        assert "cycles of 100 USDT" in checks["fee token"].saw
        # 100 USDT x 7.5 bps x 3 legs = 0.225 USDT a cycle; one ETH costs 5.06
        assert str(int(D(held) * D("5.06") / D("0.225"))) in checks["fee token"].saw


async def test_ccxt_out_of_range(exchange, monkeypatch):
    """E14: older than tested, or without a method that triarb needs, it fails; newer, it warns."""
    for tested, verdict in (((9, 0, 0), Verdict.FAILED), ((1, 0, 0), Verdict.WARNING)):
        monkeypatch.setattr(doctor_module, "TESTED", (min(tested, (4, 0)), tested))
        if verdict is Verdict.FAILED:
            monkeypatch.setattr(doctor_module, "TESTED", (tested, tested))
        assert (await verdicts(load(HERE, {})))[0]["ccxt"] is verdict
    monkeypatch.setattr(examining, "REQUIRED", ("create_order", "gone_with_the_next_version"))
    found, checks = await verdicts(load(HERE, {}))
    assert found["ccxt"] is Verdict.FAILED
    assert "gone_with_the_next_version" in checks["ccxt"].saw


async def test_the_required_methods_are_all_that_is_called():
    """E14: the classes of all exchanges have them: none is asked for that only some have."""
    for name in ("binance", "okx", "kraken", "coinbase"):
        assert examining.missing_methods(getattr(ccxt, name)) == []


async def test_a_ledger_in_use_fails(exchange):
    """Where another engine holds the ledger, nothing else may trade the account."""
    config = load(HERE, {})
    async with SqlLedger(default_path("binance", "paper", "ada")):
        found = await examine(config)
    assert found.failed == ("one engine",)


async def test_a_halt_is_told(exchange):
    """A halted ledger is a warning: production is not begun by looking away."""
    config = load(HERE, {})
    await examine(config)
    HaltLatch(halt_file(default_path("binance", "paper", "ada"))).set("prices look wrong")
    found, checks = await verdicts(config)
    assert found["halt"] is Verdict.WARNING
    assert "prices look wrong" in checks["halt"].saw


@pytest.mark.parametrize(
    ("words", "verdict"),
    [(("FULL", "WAL"), Verdict.OK), (("EXTRA", "WAL"), Verdict.OK), (("", ""), Verdict.OK),
     (("NORMAL", "WAL"), Verdict.FAILED), (("OFF", "WAL"), Verdict.FAILED), (("FULL", "DELETE"), Verdict.FAILED)],
)  # fmt: skip
def test_what_is_durable(words, verdict):
    """A commit must outlive a power loss."""
    assert judge_durability(*words).verdict is verdict


def test_a_full_disk(tmp_path, monkeypatch):
    """With little room it warns, with next to none it fails."""
    usage = namedtuple("usage", "free")  # noqa: PYI024 - as shutil's
    for free, verdict in ((2**20, Verdict.FAILED), (2**29, Verdict.WARNING), (2**40, Verdict.OK)):
        monkeypatch.setattr(ledger_checks.shutil, "disk_usage", lambda _, free=free: usage(free))
        assert ledger_checks.judge_disk(tmp_path / "x").verdict is verdict


async def test_an_exchange_without_look_up_fails_but_on_paper():
    """Where an order could not be found again, real ones are never sent, so that is a failure before anything is asked."""
    config = attrs.evolve(load(), exchange="kraken")
    found = await examine(attrs.evolve(config, live=True))
    assert "lost orders" in found.failed


async def test_a_market_that_nobody_offers(exchange):
    """Without an ask there is no price for a test order: not told."""
    exchange.set_book(OrderBook("BTC/USDT", (Level(D("99.9"), D(3)),), (), 0))
    found, _ = await verdicts(load())
    assert found["test order"] is Verdict.NOT_TOLD


def test_the_command(exchange, capsys):
    """A table with a verdict for each check, exit code 0 or 1, JSON, and what production still needs."""
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()))
    Path(".env").chmod(0o600)
    Path("triarb.toml").write_text(HERE)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["check", "verdict", "saw", "mend"]
    assert out.splitlines()[-1] == "binance, sandbox: passed"
    Path("mine.toml").write_text(LIVE)
    exchange.rights["enableWithdrawals"] = True
    assert main(["doctor", "--config", "mine.toml"]) == 1
    out = capsys.readouterr().out
    assert "binance, live: failed: key" in out
    assert "production needs: the last examination failed: key" in out
    assert main(["doctor", "--config", "mine.toml", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["mode"], data["passed"]) == ("live", False)
    assert {"name": "key", "verdict": "FAILED", "saw": "it can withdraw",
            "mend": "make one that can only read and trade spot"} in data["checks"]  # fmt: skip
    assert any("0 of 10" in sentence for sentence in data["arming"])
    assert "loopback-secret" not in out + json.dumps(data)
    assert os.environ.get("API_KEY") is None
