"""triarb config, and triarb paper from a configuration: the guide's .env starts paper trading as it stands."""

import asyncio
import functools
import json
import stat
import tomllib
from pathlib import Path

import jsonschema
import pytest

from triarb import CcxtGateway, SqlLedger, TradingConfig
from triarb.cli import main
from triarb.ledger import default_path
from triarb.operations.settings import GUIDE, SETTINGS
from triarb.operations.writing import example_file, schema
from triarb.testing.loopback import LoopbackSession, in_background
from triarb.testing.market import planted_triangle

GUIDES_ENV = """\
# .env file
API_KEY=your_api_key_here
SECRET_KEY=your_secret_key_here
SANDBOX=true
MAX_POSITION_SIZE=100
MAX_DAILY_LOSS=50
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files."""
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(params=["api.binance.us", "api.binance.com"])
def exchange(request, monkeypatch):
    """What that host is in a test: a loopback exchange, which speaks the protocol of both."""
    with in_background(planted_triangle()) as opened:
        session = functools.partial(LoopbackSession, opened.port, {request.param})
        monkeypatch.setitem(CcxtGateway.__init__.__kwdefaults__, "session_factory", session)
        opened.id = "binanceus" if request.param.endswith("us") else "binance"
        yield opened


@pytest.mark.once
def test_the_guides_env_starts_paper_trading(capsys, exchange):
    """As it stands: binanceus (or the exchange it names), its limits, its placeholders no keys, and the reason said."""
    Path(".env").write_text(GUIDES_ENV)
    if exchange.id == "binance":
        Path(".env").write_text(f"{GUIDES_ENV}EXCHANGE_NAME=binance\n")
    code, out, err = run(capsys, "paper", "--cycles", 1, "--latency-ms", 0, "--json")
    report = json.loads(out)
    assert (code, report["exchange"], report["mode"]) == (0, exchange.id, "paper")
    assert report["outcomes"] == {"completed": 1}
    assert "paper: no api_key and no secret_key are set" in err
    assert ("not known to be binanceus's own" in err) == (exchange.id == "binanceus")
    assert {request.method for request in exchange.requests} == {"GET"}
    assert not [r for r in exchange.requests if "signature" in r.params or "timestamp" in r.params]
    assert exchange.id in run(capsys, "report")[1]


def test_paper_never_sends_a_key(capsys, exchange):
    """I16: with real-looking keys and `live = true`, too, paper looks only, and nothing private leaves."""
    Path(".env").write_text(
        f"EXCHANGE_NAME={exchange.id}\nAPI_KEY=k1\nSECRET_KEY=s1\nSANDBOX=false\n"
    )
    Path("mine.toml").write_text("live = true\nmin_edge_bps = 1\n")
    code, out, err = run(
        capsys, "paper", "--config", "mine.toml", "--cycles", 1, "--latency-ms", 0, "--json"
    )
    assert (code, json.loads(out)["mode"]) == (0, "paper")
    assert "production" in err
    assert {request.method for request in exchange.requests} == {"GET"}


def test_options_win_over_the_file(capsys, exchange):
    """A file's limits hold where the command says nothing else: a least edge that nothing has stops all of it."""
    Path("mine.toml").write_text(
        f'exchange = "{exchange.id}"\nmin_edge_bps = 400\nlatency_ms = 0\ninterval_seconds = 0.01\n'
        'balance = ["70 USDT"]\nledger = "own.sqlite"\n'
    )
    arguments = ["paper", "--config", "mine.toml", "--json"]
    _, out, _ = run(capsys, *arguments, "--seconds", 0.3)
    assert json.loads(out)["executed"] == 0
    assert "risk.min_edge" in json.loads(out)["refused"]
    _, out, _ = run(capsys, *arguments, "--cycles", 1, "--min-edge-bps", 1, "--interval", 0.02)
    assert json.loads(out)["executed"] == 1
    assert Path("own.sqlite").exists()


def test_every_mistake_is_a_line(capsys):
    """A person reads one line a mistake, a program one record a mistake; nothing starts."""
    Path(".env").write_text("MAX_DAILY_LOSS=-5\nMIN_PROFIT_THRESHOLD=0.5\n")
    code, out, err = run(capsys, "paper", "--max-legs", "three")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "triarb: 3 settings cannot be used:",
        "  .env, MAX_DAILY_LOSS=-5: it is negative (write an amount above zero)",
        "  .env, MIN_PROFIT_THRESHOLD=0.5: a fraction of 0.5 is 50 %, above 10 % (write 0.005 for 0.5 %; did you mean 0.005?)",
        "  the command line, --max-legs=three: it is not a number (write a number, such as 5)",
    ]
    code, out, err = run(capsys, "paper", "--json")
    error = json.loads(out)["error"]
    assert (code, err, error["code"]) == (2, "", "config.invalid")
    assert [p["code"] for p in error["problems"]] == ["config.range", "config.percent"]
    assert set(error["problems"][0]) == {"code", "setting", "source", "value", "message", "hint"}


def test_show_says_what_holds_and_why(capsys):
    """Every setting with its value and its source, what mode that leads to and why, as a table and as JSON."""
    Path(".env").write_text(f"{GUIDES_ENV}API_KY=x\n")
    Path("triarb.toml").write_text('exchange = "binance"\nallow = ["BTC", "USDT"]\nfee_bps = 7.5\n')
    code, out, _ = run(capsys, "config", "show")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "setting value from"
    assert "exchange binance exchange in triarb.toml" in lines
    assert "max_daily_loss 50 USDT MAX_DAILY_LOSS in .env; USDT assumed" in lines
    assert "allow BTC, USDT allow in triarb.toml" in lines
    assert "live false default" in lines
    assert "not read, though it looks like ours: API_KY" in lines
    data = json.loads(run(capsys, "config", "show", "--json")[1])
    assert list(data) == ["settings", "mode", "notes", "ignored"]
    assert list(data["settings"]) == list(SETTINGS)
    assert data["settings"]["fee_bps"] == {"value": "7.5", "from": "fee_bps in triarb.toml"}
    assert (data["mode"], data["ignored"]) == ("paper", ["API_KY"])
    Path(".env").write_text("TRIARB_LIVE=true\nAPI_KEY=vault://secret/b#k\n")
    data = json.loads(run(capsys, "config", "show", "--json")[1])
    assert data["mode"] == "refused"
    assert "not armed" in data["notes"][0]
    assert data["settings"]["api_key"]["value"] == "vault://secret/b#k"


def test_init_writes_a_file_once(capsys):
    """Commented, private, all of it valid with the # taken away; never over a file that exists."""
    code, out, _ = run(capsys, "config", "init")
    assert (code, out) == (0, "wrote triarb.toml\n")
    path = Path("triarb.toml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tomllib.loads(path.read_text()) == {}
    assert TradingConfig.load(environ={}) == TradingConfig()
    before = path.read_text()
    code, out, err = run(capsys, "config", "init")
    assert (code, out) == (2, "")
    assert "exists already" in err
    assert path.read_text() == before
    assert run(capsys, "config", "init", "no/such/x.toml")[0] == 2
    assert run(capsys, "config", "init", "other.toml")[0] == 0


def uncommented():
    """The example with every setting told."""
    lines = (line.removeprefix("# ") for line in example_file().splitlines())
    return "\n".join(line for line in lines if line.partition(" = ")[0] in SETTINGS)


def test_the_example_is_valid_and_complete():
    """With every # taken away it tells every setting, passes its own schema, and loads."""
    text = uncommented()
    data = tomllib.loads(text)
    assert list(data) == list(SETTINGS)
    jsonschema.validate(data, schema())
    Path("all.toml").write_text(text)
    config = TradingConfig.load("all.toml", environ={})
    assert {origin.source for origin in config.origins.values()} == {"all.toml"}
    default = TradingConfig()
    for name in (
        "exchange",
        "start",
        "max_notional",
        "max_daily_loss",
        "min_edge_bps",
        "max_legs",
        "balance",
    ):
        assert getattr(config, name) == getattr(default, name)


@pytest.mark.parametrize(
    "line",
    ["max_legs = 9", 'max_legs = "3"', "max_notional = 0", 'max_notional = "much"', "live = 1", "foo = 1",
     "min_profit_threshold = 0.5", "min_edge_bps = -1", 'allow = "BTC"', "exchange = 5", "api_key = 5"],
)  # fmt: skip
def test_the_schema_refuses_what_loading_refuses(line):
    """An editor marks what would be an error."""
    data = tomllib.loads(line)
    jsonschema.Draft202012Validator.check_schema(schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())
    Path("x.toml").write_text(line)
    with pytest.raises(ValueError, match=r"x\.toml"):
        TradingConfig.load("x.toml", environ={})


def test_the_schema_knows_the_guides_names(capsys):
    """Both names of a setting are offered; those in another unit with its bounds."""
    code, out, _ = run(capsys, "config", "schema")
    printed = json.loads(out)
    assert code == 0
    assert printed == schema()
    names = {guide.lower() for guide in GUIDE} | set(SETTINGS)
    assert set(printed["properties"]) == names
    jsonschema.validate(
        tomllib.loads("min_profit_threshold = 0.005\nmax_position_size = 100"), printed
    )


@pytest.mark.parametrize(
    "option", [("--cycles", -1), ("--cycles", 0), ("--seconds", "nan"), ("--seconds", 0)]
)
@pytest.mark.parametrize("command", ["paper", "run"])
def test_an_end_that_cannot_come_is_refused_before_anything_runs(capsys, command, option):
    """E11: without a network, without a ledger, and without a word that it is running."""
    code, out, err = run(capsys, command, "binance", *option)
    assert (code, out) == (2, "")
    assert err.startswith(f"triarb: {option[0].strip('-')} is ")
    assert err.count("\n") == 1


def test_what_is_not_read_is_said_before_trading(capsys, exchange, monkeypatch):
    """E11: a limit that is misspelt in the environment is named by the command that trades without it."""
    monkeypatch.setenv("MAX_DAILY_LOS", "5")
    code, _, err = run(capsys, "paper", exchange.id, "--cycles", 1, "--min-edge-bps", 1, "--json")
    assert (code, err) == (0, "not read, though it looks like ours: MAX_DAILY_LOS\n")


@pytest.mark.parametrize(
    "command", [("status",), ("report",), ("limits", "show"), ("limits", "set", "max_legs", "3")]
)
@pytest.mark.parametrize("name", ["loop.sqlite", "x" * 300, "/"])
def test_a_file_that_cannot_be_is_an_error_of_one_line(capsys, command, name):
    """Links in a circle, names that are too long, and none: thing and mend, and no traceback."""
    Path("loop.sqlite").symlink_to("loop.sqlite")
    for arguments in ((*command, name), ("ack", name, "--by", "Ada"), ("audit", "verify", name)):
        code, _, err = run(capsys, *arguments)
        assert (code in (0, 1, 2), err.count("\n") <= 1) == (True, True)
        assert code or arguments[0] == "ack"


def test_commands_take_the_ledger_that_the_configuration_names(capsys, tmp_path, monkeypatch):
    """In a bot's own folder nothing is said of, acknowledged for or set on another bot's ledger, though that was used last."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_ledger(default_path("binance", "paper"))
    write_ledger(Path("mine.sqlite"))
    Path("triarb.toml").write_text('ledger = "mine.sqlite"\n')
    assert run(capsys, "ack", "--by", "Ada")[:2] == (0, "acknowledged mine.sqlite: Ada\n")
    assert "on mine.sqlite: nothing set -> 3" in run(capsys, "limits", "set", "max_legs", "3")[1]
    assert run(capsys, "status")[1].startswith("ledger mine.sqlite")
    Path("triarb.toml").write_text("ledgr = 1\n")
    assert json.loads(run(capsys, "status", "--json")[1])["ledger"].endswith("paper-main.sqlite")
    assert run(capsys, "ack", "--by", "Ada")[0] == 2


def write_ledger(path):
    """A ledger that was once opened."""

    async def opened():
        async with SqlLedger(path):
            pass

    asyncio.run(opened())
