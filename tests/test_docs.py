"""The docs tell what is there: every code, every option, every event, and examples in docstrings that work."""

import ast
import doctest
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import triarb
from triarb.cli.app import COMMANDS, app

ROOT = Path(__file__).parents[1]
PACKAGE = Path(triarb.__file__).parent
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*\.[a-z_]+")
NO_CODES = {
    "risk.review",
    "sizer.size",
}  # what a plug-in is called by, in the sentence of a PolicyViolation


def page_codes() -> list[str]:
    """The codes in the first columns of the page's tables."""
    text = (ROOT / "docs" / "refusal-codes.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)


def source_codes(families: set[str]) -> Iterator[str]:
    """The codes in the sources: what stands where a code belongs, and every text that begins like one of `families`."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent == PACKAGE / "testing":
            continue  # what conformance checks make up
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                named = [k.value for k in node.keywords if k.arg == "code"]
                refused = node.args[:1] if ast.unparse(node.func) == "Refused" else []
                for value in (*named, *refused):
                    if isinstance(value, ast.Constant):
                        yield str(value.value)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                match = re.match(rf"{CODE.pattern}(?=:|$)", node.value)
                if match and match[0].partition(".")[0] in families:
                    yield match[0]


@pytest.mark.once
def test_every_code_is_on_the_page_and_no_other() -> None:
    """Every code that the package can refuse or raise with has its line, once, and every line has its code."""
    listed = page_codes()
    families = {code.partition(".")[0] for code in listed}
    used = set(source_codes(families)) - NO_CODES
    assert sorted(listed) == sorted(used)


def test_every_option_of_a_command_is_on_its_page() -> None:
    """The command's page names every command and every option that there is."""
    text = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
    sections = {n: text.partition(f"## triarb {n}\n")[2].partition("\n## ")[0] for n in COMMANDS}
    sections["run"] += sections["paper"]  # whose options it takes
    for name, section in sections.items():
        assert f"## triarb {name}\n" in text
        named = [n for n in app[name] if not n.startswith("-")]
        commands = [app[name]] if app[name].default_command else [app[name][n] for n in named]
        for argument in (a for c in commands for a in c.assemble_argument_collection()):
            for option in argument.names:
                told = option in section or option == "--json"
                assert told or not option.startswith("--"), f"triarb {name} {option}"


GUIDE_NAMES = """
ExchangeManager ExchangeConfig initialize get_balances place_market_order close Balance currency free used total
OrderExecutor TradeOrder ExecutionResult execute_arbitrage_cycle _execute_single_trade _wait_for_order_fill
symbol side amount expected_price success executed_orders total_cost actual_profit error_message
RiskLimits RiskManager check_opportunity_valid check_balance_sufficient calculate_position_size update_pnl daily_pnl
max_position_size max_daily_loss min_profit_threshold max_slippage max_cycle_length run_detection
TradingConfig from_env EXCHANGE_NAME API_KEY SECRET_KEY PASSPHRASE SANDBOX MAX_POSITION_SIZE MAX_DAILY_LOSS
MIN_PROFIT_THRESHOLD MAX_SLIPPAGE MAX_CYCLE_LENGTH SCAN_INTERVAL
PerformanceMonitor TradeMetrics record_trade get_daily_summary save_metrics timestamp opportunity_count executed_trades
total_profit avg_execution_time success_rate CircuitBreaker can_execute record_failure failure_threshold recovery_time
test_order_execution test_full_arbitrage_cycle Backtester run_backtest
"""
"""The classes, methods, fields and variables of the live trading guide."""


def test_every_name_of_the_guide_is_on_its_map() -> None:
    """Who comes from the live trading guide finds each of its names, and where it went."""
    text = (ROOT / "docs" / "guide-map.md").read_text(encoding="utf-8")
    spelt = {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}
    assert [name for name in GUIDE_NAMES.split() if name not in spelt] == []


def test_every_public_name_is_in_the_reference() -> None:
    """The room that is the home of each public name has its place on a page of the reference."""
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    told = set(re.findall(r"^\.\. automodule:: (\S+)$", pages, re.MULTILINE))
    homes = {name: getattr(triarb, name).__module__ for name in triarb.__all__}
    assert homes
    assert {name: home for name, home in homes.items() if home not in told} == {}


@pytest.mark.once
def test_docstring_examples_work() -> None:
    """Every example in a docstring of the package gives what it says."""
    said = io.StringIO()
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
            for test in finder.find(module):
                runner.run(test, out=said.write)
    assert runner.tries > 0
    assert not runner.failures, said.getvalue()
