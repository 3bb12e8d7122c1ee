"""E12, I13: keys are in no output: not printed, logged, raised, written, pickled, or left in a frame that a traceback shows."""

import asyncio
import json
import logging
import pickle
import pprint
import threading
import traceback
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import pytest

from triarb import CcxtGateway, Engine, Order, Side, SqlLedger, TimeInForce, TradingConfig
from triarb.cli import main
from triarb.exceptions import ConfigError, TriarbError
from triarb.gateways.ccxt import Credentials
from triarb.operations import Parts
from triarb.testing.faults import Answer, DropAfter, DropBefore, FaultRule, Truncate
from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle

KEY, SECRET, PASSPHRASE = "CANARYKEY0123456789", "CANARYSECRET0123456789", "CANARYPASS"
ORDER = Order("tri2", "ETH/USDT", Side.BUY, Decimal(1), Decimal("5.06"), TimeInForce.IOC)
ENV = f"""\
EXCHANGE_NAME=binance
API_KEY={KEY}
SECRET_KEY={SECRET}
PASSPHRASE={PASSPHRASE}
MAX_POSITION_SIZE=100
MAX_DAILY_LOSS=20
"""


def shows(text):
    """Whether a canary, or anything signed, shows."""
    return "CANARY" in text or "signature=" in text.replace("signature=***", "")


def told_of(error):
    """Everything that an error's text, its causes and the frames below the caller's show."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    below = error.__traceback__.tb_next
    shown = traceback.TracebackException(type(error), error, below, capture_locals=True)
    return "\n".join([*parts, *shown.format()])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the canaries in a private .env."""
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(ENV)
    Path(".env").chmod(0o600)
    return tmp_path


@pytest.fixture
def binance(monkeypatch):
    """What `binance` is here: a loopback exchange whose account has the canaries."""
    keys = Credentials(KEY, SECRET, PASSPHRASE)
    with in_background(planted_triangle(), balances={"USDT": "1000"}, credentials=keys) as exchange:
        session = exchange.session_factory
        monkeypatch.setitem(CcxtGateway.__init__.__kwdefaults__, "session_factory", session)
        yield exchange


@pytest.fixture
def everything_logged(caplog):
    """Every logger at its most talkative, ccxt's and asyncio's included."""
    caplog.set_level(logging.DEBUG)
    names = ["ccxt", "ccxt.base.exchange", "triarb", "triarb.gateways.ccxt.instance", "aiohttp"]
    for name in names:
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


async def sandbox_run(ledger_path):
    """One cycle in the sandbox that the configuration leads to: its report, and what its parts show."""
    config = TradingConfig.load()
    parts = Parts.of(config)
    assert parts.gateway.mode == "sandbox"
    events = []
    async with parts.gateway as gateway, SqlLedger(ledger_path) as ledger:
        engine = Engine(
            gateway, risk=parts.risk, start=parts.start, ledger=ledger, observers=[events.append]
        )
        report = await engine.run(cycles=1)
        shown = [repr(x) for x in (config, parts, gateway, engine, ledger, ledger.portfolio())]
        shown += [repr(event) for event in ledger.events()]
    return report, [*shown, repr(events), pprint.pformat(attrs.asdict(config, recurse=False))]


def test_a_whole_run_shows_no_key(folder, binance, everything_logged, capfd):
    """I13, E12: logs at DEBUG, outputs, reprs, events, the ledger's files and the report of a sandbox run hold no key and no signature."""
    report, shown = asyncio.run(sandbox_run(folder / "run.sqlite"))
    assert sum(report.outcomes.values()) == 1
    posts = [request for request in binance.requests if request.method == "POST"]
    assert len(posts) == 3  # signed with the canaries, as the exchange checked
    out, err = capfd.readouterr()
    shown += [everything_logged.text, out, err, str(report), json.dumps(report.to_dict())]
    shown += [pickle.dumps(report).decode("latin-1")]
    shown += [
        file.read_bytes().decode("latin-1") for file in folder.iterdir() if file.name != ".env"
    ]
    assert len(shown) > 15
    assert not [text for text in shown if shows(text)]


class Watcher(ThreadingHTTPServer):
    """Keeps what is sent to it; told by an address with a token."""

    def __init__(self):
        self.told = []
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                watcher.told.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(200)
                self.end_headers()

            do_GET = do_POST = answer  # noqa: N815 - what the library looks for

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def watcher():
    opened = Watcher()
    yield opened
    opened.shutdown()
    opened.server_close()


@pytest.mark.once
def test_the_whole_command_with_all_that_watches_over_it_shows_no_key(
    folder, binance, everything_logged, watcher, capfd
):
    """I13: run, halt, resume, status, report and audit with webhook, dead man's switch and acknowledgement: no canary anywhere.

    In what they print, in what is sent to the webhook, in the logs at DEBUG, and in any file: ledger, audit log, limits,
    acknowledgement, halt.
    """
    address = f"http://127.0.0.1:{watcher.server_port}/CANARYTOKEN"
    Path("triarb.toml").write_text(
        f'webhook_url = "{address}"\ndead_man_url = "{address}"\ndead_man_seconds = 5\nack_hours = 1\n'
        'ledger = "run.sqlite"\nmin_edge_bps = 5\ninterval_seconds = 0.01\naudit = "required"\n'
    )
    Path("triarb.toml").chmod(0o600)
    commands = [
        ["run", "--seconds", "0.1", "--json"], ["ack", "run.sqlite", "--by", "Ada"], ["run", "--cycles", "1"],
        ["limits", "set", "max_notional", "50 USDT", "run.sqlite", "--by", "Ada"], ["doctor"],
        ["halt", "run.sqlite", "--reason", "drill"], ["run", "--cycles", "1", "--json"], ["status", "run.sqlite"],
        ["status", "run.sqlite", "--json"], ["resume", "run.sqlite", "--by", "Ada"], ["recover", "run.sqlite"],
        ["report", "run.sqlite", "--json"], ["audit", "verify", "run.sqlite"], ["audit", "show", "run.sqlite"],
        ["config", "show"],
    ]  # fmt: skip
    codes = [main(command) for command in commands]
    assert codes == [0, 0, 0, 0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0]
    assert len([request for request in binance.requests if request.method == "POST"]) >= 3
    alerts = [json.loads(body)["alert"] for body in watcher.told if body]
    assert {"unattended", "halted"} <= set(alerts)
    files = [f for f in folder.rglob("*") if f.is_file() and f.name not in (".env", "triarb.toml")]
    assert any("audit" in str(file) for file in files)
    shown = [f.read_bytes().decode("latin-1") for f in files]
    shown += [everything_logged.text, *capfd.readouterr(), *map(bytes.decode, watcher.told)]
    assert not [text for text in shown if shows(text)]


@pytest.mark.parametrize(
    "fault",
    [
        DropBefore(),
        DropAfter(),
        Truncate(),
        Answer(401, body="no"),
        Answer(400, -2015),
    ],
)
def test_what_goes_wrong_shows_no_key(folder, binance, everything_logged, fault):
    """I13: an order or a question that fails says so without a key, in its frames and in the log as well."""

    async def fail():
        parts = Parts.of(TradingConfig.load())
        shown = []
        async with parts.gateway as gateway:
            for on, ask in (
                ("balances", gateway.balances),
                ("look_up", lambda: gateway.look_up("tri1", "ETH/USDT")),
                ("submit", lambda: gateway.submit(ORDER)),
            ):
                binance.inject(FaultRule(on, fault, times=2))
                try:
                    shown.append(repr(await ask()))
                except TriarbError as error:
                    shown.append(told_of(error))
        return shown

    shown = asyncio.run(fail())
    assert len(shown) == 3
    assert not [text for text in [*shown, everything_logged.text] if shows(text)]


def test_a_wrong_key_is_not_told(folder, binance, everything_logged):
    """What an exchange says of a key that it does not know goes on without the key."""
    Path(".env").write_text(ENV.replace("SECRET0123456789", "SECRET9876543210"))

    async def ask():
        async with Parts.of(TradingConfig.load()).gateway as gateway:
            await gateway.balances()

    with pytest.raises(TriarbError) as caught:
        asyncio.run(ask())
    assert not shows(told_of(caught.value))
    assert not shows(everything_logged.text)


@pytest.mark.parametrize(
    "broken",
    [
        "MAX_DAILY_LOSS=-5\n", f'API_KEY="{KEY}\n', f"{SECRET}\n", f"API_KEYS {KEY}\n",
        f"TRIARB_API_KY={KEY}\n", f"TRIARB_SECRET_KEY={SECRET}X\nSECRET_KEY={SECRET}Y\n",
        f"API_KEY={KEY}2\n", f"{SECRET}==\nMAX_DAILY_LOSS=-5\n",
    ],
)  # fmt: skip
def test_a_broken_configuration_shows_no_key(folder, broken, monkeypatch, capsys):
    """However a file or an environment with keys is broken, its errors do not show them, nor do their frames."""
    Path(".env").write_text(ENV + broken)
    Path("x.toml").write_text(f'api_key = "{KEY}"\nsecret_key = ["{SECRET}"]\nmax_legs = "3"\n')
    monkeypatch.setenv("TRIARB_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("API_KEY", KEY)
    with pytest.raises(ConfigError) as caught:
        TradingConfig.load("x.toml")
    assert not shows(told_of(caught.value))
    assert main(["config", "show", "--config", "x.toml"]) == 2
    assert main(["config", "show", "--config", "x.toml", "--json"]) == 2
    assert not shows("".join(capsys.readouterr()))


def test_what_is_shown_of_a_configuration_is_masked(folder, capsys):
    """`triarb config show` says that there is a key, and where, and not which."""
    Path(".env").write_text(f"{ENV}{SECRET}==\n")
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "API_KEY in .env" in out
        assert "***" in out
        assert not shows(out + err)


def test_keys_are_not_pickled(folder):
    """E12: neither a configuration nor the parts made of it can be pickled with a key in them."""
    config = TradingConfig.load()
    for thing in (config, Parts.of(config), config.credentials()):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_keys_of_a_file_that_others_read_are_not_used(folder, capsys):
    """They are refused where they are needed, with the mend; paper, which needs none, starts; `show` warns."""
    Path(".env").chmod(0o644)
    config = TradingConfig.load()
    with pytest.raises(TriarbError) as caught:
        Parts.of(config)
    assert caught.value.code == "secret.permissions"
    assert "chmod 600" in caught.value.hint
    assert not shows(told_of(caught.value))
    assert Parts.of(config, "paper").gateway.mode == "paper"
    assert main(["config", "show"]) == 0
    assert "chmod 600" in capsys.readouterr().out.replace("\n", "")
