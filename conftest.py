"""Runs what README.md and the pages of docs show, one test a page, from top to bottom.

A ``python`` block is executed, and may await at its top level; a ``pycon`` block is a doctest. In a ``console`` block each
line that begins with ``$ `` is a command of triarb, executed in this process, and the lines below it are what it must
print (``...`` stands for anything). Other blocks are only read. A page runs in a folder of its own, in which
``docs/example.json`` is the one of this repository, and with a data folder of its own.

On a page "binance" is a loopback exchange on this machine (`triarb.testing.loopback`) that shows
`triarb.testing.market.planted_triangle`, so that a triangle is left after fees. What says ``CcxtGateway("binance")`` or
``triarb paper binance`` so runs as it stands, without a network.
"""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import pad
from sybil.example import SybilFailure
from sybil.parsers.markdown import CodeBlockParser

from triarb import CcxtGateway
from triarb.cli import main
from triarb.operations.settings import GUIDE
from triarb.testing import planted_triangle
from triarb.testing.loopback import in_background

EXAMPLE = Path(__file__).parent / "docs" / "example.json"


def run_python(example: Example) -> None:
    """Execute a block in the page's namespace; one that awaits runs in an event loop."""
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    code = compile(
        source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    awaited = eval(code, example.namespace)  # noqa: S307 - the pages are ours
    if inspect.iscoroutine(awaited):
        asyncio.run(awaited)


def run_pycon(example: Example) -> str | None:
    """Execute a block of ``>>>`` lines in the page's namespace and compare what they answer."""
    test = doctest.DocTestParser().get_doctest(
        example.parsed, example.namespace, example.path, example.path, example.line
    )
    said = io.StringIO()
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.write, clear_globs=False)
    example.namespace.update(test.globs)
    return said.getvalue() or None


def run_console(example: Example) -> str | None:
    """Execute the commands of a block and compare what they print."""
    exit_code = 0
    for command, expected in _commands(example.parsed):
        printed = io.StringIO()
        if command == "echo $?":
            printed.write(f"{exit_code}\n")
        else:
            program, *arguments = shlex.split(command)
            if Path(program).name != "triarb":
                return f"{command!r} is no command of triarb"
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                exit_code = main(arguments)
        actual = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
        if not doctest.OutputChecker().check_output(expected, actual, doctest.ELLIPSIS):
            return f"$ {command}\nprinted\n{actual}\nnot\n{expected}"
    return None


def _commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it must print."""
    for part in f"\n{block}".split("\n$ ")[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected if expected.endswith("\n") or not expected else f"{expected}\n"


PAGES = Sybil(
    parsers=[
        CodeBlockParser("python", run_python),
        CodeBlockParser("pycon", run_pycon),
        CodeBlockParser("console", run_console),
    ],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
)


class Page(pytest.File):
    """A page with something to run."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test: its blocks build on one another."""
        document = PAGES.parse(self.path)
        if next(iter(document.examples()), None) is not None:
            yield Blocks.from_parent(self, name="blocks", document=document)


class Blocks(pytest.Item):
    """All blocks of a page, from top to bottom."""

    def __init__(self, *, document: Document, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.document = document

    def runtest(self) -> None:
        """Run them in a folder of their own."""
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "docs").mkdir()
            shutil.copy(EXAMPLE, folder / "docs")
            patch.chdir(folder)
            patch.setenv("XDG_DATA_HOME", os.fspath(folder / "data"))
            for name in [
                name for name in os.environ if name.startswith("TRIARB_") or name in GUIDE
            ]:
                patch.delenv(name)
            binance = stack.enter_context(in_background(planted_triangle()))
            leads_to = CcxtGateway.__init__.__kwdefaults__
            patch.setitem(leads_to, "session_factory", binance.session_factory)
            for example in self.document.examples():
                example.evaluate()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it is."""
        return self.path, 0, self.path.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What a block printed instead, or the traceback into the page."""
        if isinstance(excinfo.value, SybilFailure):
            return f"{self.path}: {excinfo.value}"
        return super().repr_failure(excinfo, style)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Page | None:
    """Every page is a file of tests."""
    return Page.from_parent(parent, path=file_path) if PAGES.should_parse(file_path) else None
