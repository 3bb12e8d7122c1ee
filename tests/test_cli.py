"""The command: what it prints, and one clear line with a non-zero exit for everything that is wrong."""

import functools
import io
import json
import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
from rich.console import Console

from triarb.cli import main, running
from triarb.cli.live import LiveView
from triarb.gateways.ccxt import CcxtGateway
from triarb.market import Snapshot
from triarb.testing.loopback import LoopbackSession, in_background
from triarb.testing.market import planted_triangle


@pytest.fixture
def snapshot_file(tmp_path):
    path = tmp_path / "planted.json"
    planted_triangle().save(path)
    return path


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_scan_prints_the_cycle_and_says_that_prices_are_generated(capsys, snapshot_file):
    """A person reads where the data come from, how many there are, and what can be traded."""
    code, out, _ = run(capsys, "scan", snapshot_file)
    assert code == 0
    assert "generated: a planted triangle" in out
    assert "1 cycle of 3 legs above 0 bps after fees, of which 1 can be traded" in out
    assert "USDT > BTC > ETH > USDT" in out or "BTC > ETH > USDT > BTC" in out


def test_scan_json_has_the_contracts_keys_in_order(capsys, snapshot_file):
    """The JSON holds exactly what the contract lists, numbers that are money as strings."""
    code, out, _ = run(capsys, "scan", snapshot_file, "--fee-bps", "7.5", "--json")
    data = json.loads(out)
    assert code == 0
    assert list(data) == [
        "exchange", "timestamp", "source", "fees", "fee_bps", "markets", "assets", "min_legs",
        "max_legs", "min_edge_bps", "start", "count", "executable", "certificate", "cycles",
        "refused", "load_ms", "search_ms",
    ]  # fmt: skip
    assert list(data["cycles"][0]) == [
        "id", "assets", "start", "legs", "gross_rate", "net_rate", "edge_bps", "break_even_fee_bps",
        "executable", "reason", "amount", "profit", "flags",
    ]  # fmt: skip
    assert data["fees"] == {"override": 3}
    assert data["fee_bps"] == 7.5
    assert data["certificate"] == {"holds": False, "holds_at_fee_bps": 33.1129}
    assert data["cycles"][0]["gross_rate"] == "1.010000000000"
    assert isinstance(data["cycles"][0]["profit"], str)


def test_scan_explains_each_listed_cycle_if_asked(capsys, snapshot_file):
    """A person reads where the edge goes under the list; with --json each cycle has its explanation, a list of records."""
    code, out, _ = run(capsys, "scan", snapshot_file, "--explain")
    assert code == 0
    assert "it breaks even at a fee of 33.1128 bps a leg" in " ".join(out.split())
    assert "bound by the depth of ETH/BTC, 40 ETH" in out
    data = json.loads(run(capsys, "scan", snapshot_file, "--explain", "--json")[1])
    (cycle,) = data["cycles"]
    assert [record["leg"] for record in cycle["explanation"]] == [1, 2, 3, "all"]
    assert cycle["explanation"][-1]["result"] == cycle["profit"]


def test_scan_of_nothing_says_none_in_words(capsys, snapshot_file):
    """No cycle after fees is a sentence that a person understands, and success."""
    code, out, _ = run(capsys, "scan", snapshot_file, "--fee-bps", 100)
    assert code == 0
    assert "None: no cycle of 3 legs earns more than 0 bps after fees" in out
    assert "No cycle of any length can profit at these fees (proved)." in out


def test_scan_says_at_which_fee_nothing_could_profit(capsys, snapshot_file):
    """Where there is no proof, the smallest fee is told, and at that very fee there is one; a hair below not."""
    _, out, _ = run(capsys, "scan", snapshot_file)
    assert (
        "From a fee of 33.1129 bps a leg on, no cycle of any length could profit (proved)." in out
    )
    for fee_bps, holds in (("33.1129", True), ("33.1128", False)):
        _, out, _ = run(capsys, "scan", snapshot_file, "--fee-bps", fee_bps, "--json")
        assert json.loads(out)["certificate"] == {"holds": holds, "holds_at_fee_bps": 33.1129}


def test_scan_options_reach_the_library(capsys, snapshot_file):
    """start, only, ignore, top, sort and the legs do what they say; those not listed are counted."""
    code, out, _ = run(
        capsys, "scan", snapshot_file, "--start", "USDT", "--sort", "profit", "--top", 0,
        "--max-legs", 4, "--only", "USDT", "BTC", "ETH",
    )  # fmt: skip
    assert code == 0
    assert "1 more are not listed" in out
    assert (
        json.loads(run(capsys, "scan", snapshot_file, "--ignore", "BTC", "--json")[1])["count"] == 0
    )


BAD_FILES = {
    "not json": ("{", "source.not_json"),
    "a missing key": (
        '{"exchange": "x", "timestamp": "2024-01-01", "markets": [{}]}',
        "source.invalid",
    ),
    "a negative price": ("negative", "source.invalid"),
    "a NaN price": ("nan", "source.not_json"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_clear_line(capsys, tmp_path, snapshot_file, name):
    """Each bad file exits 1 with one line that names it, and as an error object with --json."""
    text, error_code = BAD_FILES[name]
    data = json.loads(snapshot_file.read_text())
    data["markets"][1]["bid"] = -1
    text = json.dumps(data) if text == "negative" else text
    text = json.dumps(data).replace("-1", "NaN") if text == "nan" else text
    path = tmp_path / "bad.json"
    path.write_text(text)
    code, out, err = run(capsys, "scan", path)
    assert (code, out) == (1, "")
    assert err.startswith("triarb: ")
    assert err.count("\n") == 1
    assert "bad.json" in err
    code, out, err = run(capsys, "scan", path, "--json")
    assert (code, err) == (1, "")
    assert json.loads(out)["error"]["code"] == error_code


WRONG = {
    "no such file": (["scan", "nowhere.json"], 1, "source.missing"),
    "an unknown exchange": (["scan", "binanse"], 1, "source.unknown_exchange"),
    "ccxt's base class": (["scan", "base"], 1, "source.unknown_exchange"),
    "a dunder": (["scan", "__class__"], 1, "source.unknown_exchange"),
    "an unknown asset": (["scan", "FILE", "--start", "USTD"], 2, "usage.unknown_asset"),
    "an unknown market": (["scan", "FILE", "--only", "ETH/DOGE"], 2, "usage.unknown_asset"),
    "one leg": (["scan", "FILE", "--max-legs", "1"], 2, "usage.invalid"),
    "nine legs": (["scan", "FILE", "--max-legs", "9"], 2, "usage.invalid"),
    "no number": (["scan", "FILE", "--max-legs", "three"], 2, "usage.invalid"),
    "a fee that is none": (["scan", "FILE", "--fee-bps", "ten"], 2, "usage.invalid"),
    "a NaN edge": (["scan", "FILE", "--min-edge-bps", "nan"], 2, "usage.invalid"),
    "a negative edge of six legs": (
        ["scan", "FILE", "--max-legs", "6", "--min-edge-bps", "-5"], 2, "usage.invalid",
    ),
    "profit of no start": (["scan", "FILE", "--sort", "profit"], 2, "usage.invalid"),
    "a negative top": (["scan", "FILE", "--top", "-1"], 2, "usage.invalid"),
    "no source": (["scan"], 2, "usage.invalid"),
    "an unknown option": (["scan", "FILE", "--fees", "5"], 2, "usage.invalid"),
    "an unknown command": (["scam"], 2, "usage.invalid"),
    "no ledger": (["report", "none.sqlite"], 1, "ledger.missing"),
    "no ledger yet": (["report"], 2, "usage.invalid"),
    "a ledger that is none": (["report", "FILE"], 1, "ledger.corrupt"),
    "too few markets": (["demo", "--markets", "3"], 2, "usage.invalid"),
    "a balance that is none": (["paper", "binance", "--balance", "many"], 2, "config.invalid"),
    "a limit of nothing": (["paper", "binance", "--max-notional", "0"], 2, "config.invalid"),
    "paper on no exchange": (["paper", "binanse"], 2, "config.invalid"),
    "no such configuration": (["config", "show", "--config", "none.toml"], 2, "config.invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_clear_line(capsys, monkeypatch, tmp_path, snapshot_file, name):
    """Each wrong call exits non-zero with one line for people, and an error object with --json."""
    arguments, exit_code, error_code = WRONG[name]
    arguments = [str(snapshot_file) if a == "FILE" else a for a in arguments]
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (exit_code, "")
    assert err.startswith("triarb: ")
    assert err.count("\n") == 1
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (exit_code, "")
    error = json.loads(out)["error"]
    assert error["code"] == error_code
    assert set(error) - {"problems"} == {"code", "message", "hint"}


def test_a_misspelt_asset_is_corrected(capsys, snapshot_file):
    """The error of a wrong name says which name was probably meant."""
    _, _, err = run(capsys, "scan", snapshot_file, "--start", "usdt")
    assert "did you mean USDT?" in err


def test_no_network_is_one_clear_line(capsys, monkeypatch, tmp_path):
    """An exchange that cannot be reached exits 1 and names the exchange."""
    monkeypatch.chdir(tmp_path)
    nobody = functools.partial(LoopbackSession, 1)  # no one listens on that port of this machine
    monkeypatch.setitem(CcxtGateway.__init__.__kwdefaults__, "session_factory", nobody)
    for command in (["scan", "binance"], ["paper", "binance"]):
        code, out, err = run(capsys, *command)
        assert (code, out) == (1, "")
        assert "binance" in err
        assert err.splitlines()[-1].startswith("triarb: ")


@pytest.fixture
def binance(monkeypatch, tmp_path):
    """What `binance` is in a test: a loopback exchange on a thread of its own."""
    monkeypatch.chdir(tmp_path)  # no .env
    with in_background(planted_triangle()) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        yield exchange


def private(exchange):
    """The requests that an exchange got beside those that only look."""
    return [request for request in exchange.requests if request.method != "GET"]


def test_scan_of_a_live_exchange(capsys, binance):
    """With a network, an exchange's id is enough: no keys, and nothing private is sent."""
    code, out, _ = run(capsys, "scan", "binance", "--fee-bps", 10, "--json")
    data = json.loads(out)
    assert (code, data["count"], data["executable"]) == (0, 1, 1)
    assert not private(binance)


def test_paper_trades_reports_and_resumes(capsys, binance):
    """Paper trading executes the planted triangle, leaves a ledger, and a second run goes on from it."""
    code, out, _ = run(capsys, "paper", "binance", "--cycles", 1, "--latency-ms", 0, "--json")
    first = json.loads(out)
    assert (code, first["mode"], first["outcomes"]) == (0, "paper", {"completed": 1})
    assert not private(binance)
    code, out, _ = run(
        capsys,
        "paper",
        "binance",
        "--cycles",
        1,
        "--latency-ms",
        0,
        "--balance",
        "5 USDT",
        "--json",
    )
    assert json.loads(out)["outcomes"] == {"completed": 1}
    code, out, _ = run(capsys, "report", "--json")
    assert (code, json.loads(out)["executed"]) == (0, 2)
    code, out, _ = run(capsys, "report")
    assert "2 completed" in out


@pytest.mark.once
def test_demo_ends_with_an_honest_report(capsys):
    """The demo needs nothing, trades something, and says that its prices are generated."""
    code, out, _ = run(capsys, "demo", "--seconds", 3, "--fast")
    assert code == 0
    assert "generated" in out
    for word in (
        "nominated",
        "confirmed",
        "refused",
        "traded",
        "missed by latency",
        "gross",
        "fees cost",
        "net",
    ):
        assert word in out
    first = run(capsys, "demo", "--seconds", 1, "--fast", "--json")[1]
    assert first == run(capsys, "demo", "--seconds", 1, "--fast", "--json")[1]


@pytest.mark.once
def test_live_view_shows_what_the_engine_tells(capsys, monkeypatch):
    """The live table counts nominations, confirmations and refusals, and lists executions."""
    view = LiveView("demo")
    monkeypatch.setattr(running, "LiveView", lambda _title: view)
    run(capsys, "demo", "--seconds", 3, "--fast")
    out = Console(width=120, record=True, file=io.StringIO())
    out.print(view)
    text = out.export_text()
    assert "nominated" in text
    assert "confirmed" in text
    assert "refused:" in text
    assert "USDT" in text


def in_a_process(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "triarb", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **kwargs,
    )


def test_python_m_triarb_and_version():
    """`python -m triarb --version` prints the installed version."""
    done = in_a_process("--version")
    assert (done.returncode, done.stdout.strip()) == (0, version("triarb"))


def test_help_lists_only_what_works():
    """Help exits 0 and names the commands that exist."""
    done = in_a_process("--help")
    assert done.returncode == 0
    for name in ("scan", "demo", "paper", "report"):
        assert name in done.stdout
    assert "backtest" not in done.stdout


@pytest.mark.once
def test_a_closed_pipe_is_no_error(snapshot_file):
    """Output that nobody reads to its end is not an error of ours."""
    shell = f"{sys.executable} -m triarb scan {snapshot_file} --json | true"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.once
def test_ctrl_c_ends_a_run_with_its_report():
    """SIGINT lets a run end cleanly: exit 0 and a report."""
    process = subprocess.Popen(
        [sys.executable, "-m", "triarb", "demo", "--seconds", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:  # the first line says that it runs
        if "running" in line:
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "traded" in out


def test_the_planted_snapshot_is_read_back(tmp_path):
    """A saved snapshot is read back equal."""
    path = tmp_path / "again.json"
    planted_triangle().save(path)
    assert Snapshot.load(path) == planted_triangle()


def test_a_file_cannot_write_to_the_terminal(capsys, tmp_path, snapshot_file):
    """Control characters out of a file are spelt out, so that an error stays one line and nothing moves the cursor."""
    data = json.loads(snapshot_file.read_text())
    data["exchange"] = "x\nEVIL\x1b[31m"
    path = tmp_path / "evil.json"
    path.write_text(json.dumps(data))
    code, out, _ = run(capsys, "scan", path)
    assert code == 0
    assert "\x1b[31m" not in out
    assert "x\\nEVIL\\x1b[31m" in out
    data["markets"][0]["symbol"] = "A\nB"
    data["markets"][0]["bid"] = -1
    path.write_text(json.dumps(data))
    code, _, err = run(capsys, "scan", path)
    assert (code, err.count("\n")) == (1, 1)
