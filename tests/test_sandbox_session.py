"""`nox -s sandbox`: whole cycles that lose, in a sandbox and nowhere else, and their transcript."""

import importlib
import json
from pathlib import Path

import pytest

from triarb import CcxtGateway, SqlLedger, TradingConfig
from triarb.exceptions import TradingRefused
from triarb.gateways.ccxt import Credentials
from triarb.gateways.paper import PaperGateway
from triarb.model import ExecutionEnded, Outcome
from triarb.testing.loopback import in_background
from triarb.testing.transcripts import read

ROOT = Path(__file__).parents[1]
KEYS = Credentials("CANARYKEY0123456789", "CANARYSECRET0123456789")


@pytest.fixture
def session(monkeypatch, tmp_path):
    """What nox runs, in a folder without a configuration."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("sandbox.__main__")


def tell(monkeypatch, **environ):
    """Set variables of triarb's."""
    for name, value in environ.items():
        monkeypatch.setenv(f"TRIARB_{name}", value)


@pytest.mark.once
def test_whole_cycles_are_traded_and_recorded(session, monkeypatch, capfd):
    """With keys in the environment and the loopback in the testnet's place: the doctor, two losing cycles, a transcript."""
    tell(monkeypatch, EXCHANGE="binance", API_KEY=KEYS.key, SECRET_KEY=KEYS.secret)
    with in_background(session.fair(), balances={"USDT": "1000"}, credentials=KEYS) as exchange:
        monkeypatch.setattr(session, "SESSIONS", exchange.session_factory)
        assert session.main(["--cycles", "2"]) == 0
        hosts = {request.host for request in exchange.requests}
        sent = exchange.posts()
        held = exchange.engine.balances
    assert hosts == {"testnet.binance.vision"}
    assert len([client_id for client_id in sent if client_id.startswith("tri")]) == 6
    assert set(sent.values()) <= {1, 2}  # the same again is one of the questions
    assert held["USDT"].locked == 0
    assert 999 < held["USDT"].free < 1000
    (path,) = Path("transcripts").glob("binance-sandbox-*.jsonl")
    transcript = read(path)
    assert (transcript.exchange, transcript.source) == ("binance", "sandbox")
    states = {
        one.answer.told.get("status")
        for one in transcript.exchanged
        if one.request.path == "/api/v3/order" and one.answer.told
    }
    assert {"FILLED", "EXPIRED", "NEW", "CANCELED"} <= states
    codes = {one.answer.told["code"] for one in transcript.exchanged if one.answer.status == 400}
    assert codes == {-2013, -2011, -1013, -2010}
    out, err = capfd.readouterr()
    assert "the least edge of your limits does not hold here" in out
    assert "no differences" in out
    assert "2 of 2 cycles were completed" in out
    told = [file.read_bytes().decode("latin-1") for file in Path("transcripts").iterdir()]
    assert not [text for text in [out, err, *told] if "CANARY" in text]


async def test_its_ledger_says_what_was_lost_and_is_no_evidence(session, tmp_path):
    """Tried without keys: each cycle completed at a loss as small as its markets allow; nothing announces a configuration."""
    options = session.argparse.Namespace(
        cycles=1, seconds=60.0, folder=tmp_path / "here", loopback=True
    )
    assert await session._on_loopback(options) == 0
    (path,) = options.folder.glob("*.sqlite")
    async with SqlLedger(path, read_only=True) as ledger:
        ended = [event for event in ledger.events() if isinstance(event, ExecutionEnded)]
        assert ledger.configured is None
    (execution,) = [event.execution for event in ended]
    assert execution.outcome is Outcome.COMPLETED
    assert -1 < execution.result < 0
    assert execution.plan.at_stake < 10
    assert execution.plan.expected_result < 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "not set: TRIARB_EXCHANGE, TRIARB_API_KEY, TRIARB_SECRET_KEY (set TRIARB_EXCHANGE"),
        ({"EXCHANGE": "binance", "API_KEY": "k"}, "not set: TRIARB_SECRET_KEY"),
        (
            {"EXCHANGE": "binance", "API_KEY": "k", "SECRET_KEY": "s", "LIVE": "true"},
            "asks for production",
        ),
        (
            {"EXCHANGE": "binance", "API_KEY": "k", "SECRET_KEY": "s", "SANDBOX": "false"},
            "asks for production",
        ),
        ({"EXCHANGE": "kraken", "API_KEY": "k", "SECRET_KEY": "s"}, "kraken has no sandbox"),
    ],
)
def test_without_a_sandbox_and_its_keys_it_says_what_to_set(
    session, monkeypatch, capfd, environ, said
):
    """One clear error, exit code 2, nothing opened and nothing written."""
    tell(monkeypatch, **environ)
    monkeypatch.setattr(session, "SESSIONS", lambda: pytest.fail("a session was opened"))
    assert session.main([]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert not list(Path().iterdir())


def test_a_failing_doctor_trades_nothing(session, monkeypatch, capfd):
    """Keys that the exchange does not know: the finding is printed and recorded, no order is sent, exit code 1."""
    tell(monkeypatch, EXCHANGE="binance", API_KEY="another-key-01234", SECRET_KEY="another")
    with in_background(session.fair(), balances={"USDT": "1000"}, credentials=KEYS) as exchange:
        monkeypatch.setattr(session, "SESSIONS", exchange.session_factory)
        assert session.main(["--cycles", "1"]) == 1
        assert not exchange.posts()
    assert "FAILED" in capfd.readouterr().out
    (path,) = Path("transcripts").glob("*.jsonl")
    assert -2015 in [
        (one.answer.told or {}).get("code")
        for one in read(path).exchanged
        if isinstance(one.answer.told, dict)
    ]
    assert json.loads(path.read_text().splitlines()[0])["triarb_transcript"] == 1


@pytest.mark.parametrize(
    "gateway",
    [
        CcxtGateway("binance", credentials=KEYS, sandbox=False),
        CcxtGateway("binance"),
        PaperGateway(CcxtGateway("binance"), balances={"USDT": "1000"}),
    ],
    ids=lambda gateway: gateway.mode,
)
def test_an_engine_that_loses_is_refused_outside_of_a_sandbox(session, gateway):
    """Not over production's account, not over paper, not over what only reads."""
    losing = importlib.import_module("sandbox.losing")
    with pytest.raises(TradingRefused) as caught:
        losing.LosingEngine(gateway, TradingConfig())
    assert caught.value.code == "sandbox.only"
