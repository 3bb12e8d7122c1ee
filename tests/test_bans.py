"""Bans outlive the process: whoever starts again during one asks nothing, and says until when."""

import logging

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from triarb.cli import main
from triarb.clock import NS_PER_SECOND, ManualClock, iso
from triarb.exceptions import GatewayError, GatewayUnavailable
from triarb.gateways.ccxt import CcxtGateway, default_ban_file
from triarb.gateways.ccxt.bans import BanFile
from triarb.operations import Parts, TradingConfig
from triarb.testing import planted_triangle
from triarb.testing.faults import Ban, Endpoint, FaultRule
from triarb.testing.loopback import LoopbackExchange, in_background
from triarb.testing.market import START_NS

DAY = 86_400
LATE = "2999-01-01T00:00:00+00:00"


@pytest.fixture
def binance(monkeypatch):
    """What every gateway to Binance reaches in this test."""
    with in_background(planted_triangle()) as running:
        leads_to = CcxtGateway.__init__.__kwdefaults__
        monkeypatch.setitem(leads_to, "session_factory", running.session_factory)
        yield running


@pytest.mark.parametrize("trades", [False, True])
async def test_a_ban_is_kept_over_a_restart(tmp_path, caplog, *, trades):
    """D2: the next process sends nothing before the end of a ban that this one was told of, and then goes on."""
    clock, file = ManualClock(START_NS), tmp_path / "bans" / "binance.txt"
    async with LoopbackExchange(
        planted_triangle(), balances={"USDT": "1000"}, clock=clock
    ) as exchange:

        def process():
            return CcxtGateway(
                "binance",
                credentials=exchange.credentials if trades else None,
                session_factory=exchange.session_factory,
                clock=clock,
                ban_file=file,
            )

        async with process() as gateway:
            exchange.inject(FaultRule(Endpoint.BOOK, Ban(3 * DAY, 418)))
            with pytest.raises(GatewayUnavailable):
                await gateway.order_book("BTC/USDT")
        end_ns = START_NS + 3 * DAY * NS_PER_SECOND
        assert file.read_text() == f"{iso(end_ns)}\n"
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        asked = len(exchange.requests)
        for now_ns in (START_NS, end_ns - 130 * NS_PER_SECOND):
            clock.advance_to(now_ns)
            with pytest.raises(GatewayUnavailable, match=str(file)) as caught:
                async with process():
                    pass
            assert caught.value.code == "gateway.banned"
        assert len(exchange.requests) == asked
        clock.advance_to(end_ns)
        async with process() as gateway:
            await gateway.order_book("BTC/USDT")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40) | st.integers(0, 24).map(lambda n: LATE.encode()[:n]))
def test_a_damaged_file_is_no_word_that_one_may_ask(tmp_path, content):
    """D2: whatever is in it that is no whole time is one error, before any request, that says what to do."""
    (tmp_path / "ban").write_bytes(content)
    with pytest.raises(GatewayError, match="remove it, once you know") as caught:
        BanFile(tmp_path / "ban").until_ns()
    assert caught.value.code == "gateway.ban_file"


async def test_what_cannot_be_read_sends_nothing(tmp_path, binance):
    """D2: a gateway whose file is something else does not open; a new ban is written over what is damaged."""
    with pytest.raises(GatewayError, match="cannot be read: Is a directory"):
        async with CcxtGateway("binance", ban_file=tmp_path):
            pass
    assert not binance.requests
    file = BanFile(tmp_path / "ban")
    file.path.write_text("soon")
    file.keep(START_NS)
    assert file.until_ns() == START_NS


def test_a_shorter_ban_does_not_end_a_longer_one(tmp_path):
    """D2: the latest end of all that processes heard of is kept, rounded up, and nothing else is left in the folder."""
    file = BanFile(tmp_path / "ban")
    for until_ns in (START_NS + 1, START_NS + 5_000_001, START_NS):
        file.keep(until_ns)
    assert file.until_ns() == START_NS + 5_001_000
    assert [path.name for path in tmp_path.iterdir()] == ["ban"]


def test_what_cannot_be_kept_is_told(tmp_path, caplog):
    """D2: a ban that cannot be written holds in the process, and the operator is told not to start another."""
    (tmp_path / "folder").write_text("in the way")
    with caplog.at_level(logging.ERROR):
        BanFile(tmp_path / "folder" / "ban").keep(START_NS)
    [record] = caplog.records
    assert "start nothing again before 2026" in record.message or iso(START_NS) in record.message


async def test_a_library_user_writes_nothing_unless_told(binance, tmp_path):
    """D2: without a file a gateway keeps a ban to itself, and leaves nothing on the disk."""
    async with CcxtGateway("binance") as gateway:
        binance.inject(FaultRule(Endpoint.BOOK, Ban(3 * DAY, 418)))
        with pytest.raises(GatewayUnavailable):
            await gateway.order_book("BTC/USDT")
        with pytest.raises(GatewayUnavailable, match="nothing is sent"):
            await gateway.order_book("BTC/USDT")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "command",
    [["scan", "binance"], ["paper", "binance", "--seconds", "1"], ["doctor", "--json"]],
)
def test_the_commands_keep_to_a_ban(binance, command, capsys, tmp_path, monkeypatch):
    """D2: each of them asks nothing, fails, and says until when and where that stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "triarb.toml").write_text('exchange = "binance"\n')
    file = default_ban_file("binance")
    file.parent.mkdir(parents=True)
    file.write_text(f"{LATE}\n")
    assert main(command) not in (0, 2)
    said = "".join(capsys.readouterr())
    assert "nothing is sent before 2999-01-01" in said
    assert not binance.requests


async def test_sandbox_and_production_are_banned_apart(binance):
    """D2: they are other hosts. A sandbox's gateway reads the sandbox's file, without its keys in it."""
    sandbox, production = default_ban_file("binance", sandbox=True), default_ban_file("binance")
    assert sandbox != production
    production.parent.mkdir(parents=True)
    production.write_text(f"{LATE}\n")
    keys = {"API_KEY": "loopback-key", "SECRET_KEY": "loopback-secret"}
    parts = Parts.of(TradingConfig.load(environ={**keys, "TRIARB_EXCHANGE": "binance"}), "sandbox")
    async with parts.gateway as gateway:
        binance.inject(FaultRule(Endpoint.BOOK, Ban(3 * DAY, 418)))
        with pytest.raises(GatewayUnavailable):
            await gateway.order_book("BTC/USDT")
    assert len(sandbox.read_text().split()) == 1
    assert "loopback" not in sandbox.read_text()
