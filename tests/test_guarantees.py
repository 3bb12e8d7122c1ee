"""The page of guarantees: every number once, and tests that are there and name the number that they show."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Z]\d+) \|(.*)\| ([^|]*) \|$", re.MULTILINE)
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
NUMBERS = re.compile(r"\b([A-EI])(\d+)(?:-\1(\d+))?\b")
PROMISED = [
    *(f"I{n}" for n in range(1, 19)),
    *(f"A{n}" for n in range(1, 16)),
    *(f"B{n}" for n in range(1, 13)),
    "C10",
    *(f"D{n}" for n in range(1, 14)),
    *(f"E{n}" for n in range(1, 20) if n not in (4, 17)),
]


def named(text: str) -> Iterator[str]:
    """The numbers that a text names; "I1-I4" names four."""
    for letter, first, last in NUMBERS.findall(text):
        yield from (f"{letter}{n}" for n in range(int(first), int(last or first) + 1))


@cache
def docstrings(file: str) -> dict[str, str]:
    """What the tests of a file say that they show."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name: ast.get_docstring(function) or "" for function in functions}


def test_a_range_names_all_of_it() -> None:
    """Single numbers, ranges within one letter, and nothing that only looks like one."""
    assert list(named("I1-I3, B2: A10 (E5).")) == ["I1", "I2", "I3", "B2", "A10", "E5"]
    assert list(named("HTTP 400, B2B, SIGUSR1, F5, I1-A2")) == ["I1", "A2"]


def test_each_promise_stands_on_the_page_once() -> None:
    """Every number has one line, in its order, and no line has another one."""
    assert [number for number, _, _ in ROW.findall(PAGE)] == PROMISED


@pytest.mark.parametrize(("number", "tests"), [(row[0], row[2]) for row in ROW.findall(PAGE)])
def test_a_promise_is_shown_by_tests_that_name_it(number: str, tests: str) -> None:
    """Each line ends with tests, and nothing else; each is there, and its docstring names the line's number."""
    found = TEST.findall(tests)
    assert found, "no test shows it"
    assert re.fullmatch(r"[ ,]*", TEST.sub("", tests)), (
        "something else than tests is in the last column"
    )
    for file, test in found:
        assert (TESTS / file).is_file(), file
        assert test in docstrings(file), f"{file} has no {test}"
        assert number in named(docstrings(file)[test]), f"{file}::{test} does not name it"


@pytest.mark.once
def test_what_tests_name_is_promised() -> None:
    """A number in a docstring is one of the page's, or of what it says is not promised: a slip names something else."""
    names = chain.from_iterable(docstrings(path.name).values() for path in TESTS.glob("test_*.py"))
    beyond = {*(f"C{n}" for n in range(1, 10)), "E4", "E17"}
    assert set(named("\n".join(names))) <= {*PROMISED, *beyond}
