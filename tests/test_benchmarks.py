"""The benchmark of the search: that its pieces work and agree. How fast anything is, it says itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DETECTOR = """
class nx:
    @staticmethod
    def simple_cycles(graph, length_bound=None):
        return graph, length_bound

def get_symbol_from_key(key):
    return key

def ShortTicker(symbol, price):
    return symbol, price

def get_best_opportunity(tickers, legs):
    graph, bound = nx.simple_cycles(tickers)
    return graph[:bound], legs
"""


def run(*arguments: str, stdin: str = "", path: str = "") -> str:
    """What a program of the repository prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        input=stdin,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"} if path else None,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.once
def test_the_quick_benchmark_runs_and_its_contenders_agree() -> None:
    """Every contender that is there answers on a generated exchange; one that finds another best cycle would fail it."""
    said = run("-m", "benchmarks", "finders", "--quick")
    for who in ("triarb", "triarb, as Python", "networkx simple_cycles", "plain Python join"):
        assert f"│ {who} " in said
    assert "Without OctoBot" in said
    assert "bytes a market laid out" in said


def test_octobot_is_asked_line_by_line_and_bounded(tmp_path: Path) -> None:
    """Its search gets the prices as its tickers and lists no longer cycles than asked for; only that is timed."""
    package = tmp_path / "triangular_arbitrage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "detector.py").write_text(DETECTOR)
    asked = [{"prices": {"A/B": 1.0, "B/C": 2.0, "A/C": 3.0}, "legs": legs} for legs in (2, 3)]
    lines = "".join(json.dumps(question) + "\n" for question in asked)
    answers = run("benchmarks/octobot.py", stdin=lines, path=str(tmp_path)).splitlines()
    assert [json.loads(answer)["legs"] for answer in answers] == [2, 3]
    assert all(0 <= json.loads(answer)["seconds"] < 1 for answer in answers)


@pytest.mark.once
def test_the_cost_of_an_order_is_told_beside_ccxt_and_the_commits() -> None:
    """Cost: every figure of it is measured on a loopback exchange, the first order after a pause by triarb and by ccxt."""
    said = run("-m", "benchmarks", "cost", "--quick")
    for what in ("a leg by triarb", "create_order alone", "sqlite3 alone", "a cycle by triarb"):
        assert what in said
    assert "nothing: triarb" in said
    assert "nothing: ccxt" in said
    assert "triarb adds" in said
