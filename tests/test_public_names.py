"""The public surface: names that resolve, one home each, light to import, errors in the one tree that is drawn."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import triarb
from triarb import exceptions, protocols

PACKAGE = Path(triarb.__file__).parent
HEAVY = {
    "ccxt",
    "aiohttp",
    "networkx",
    "numpy",
    "numba",
    "sqlalchemy",
    "typed_settings",
    "rich",
}
DEFINED_BELOW_ITS_HOME = {"RateView"}
"""A noun, since an Opportunity holds one; its home is the room of the table that it is a view of."""


def homes() -> list[tuple[str, str]]:
    """Each import of the stub: a module, and a name that it takes from there."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    assert all(isinstance(node, ast.ImportFrom) for node in stub.body)
    return [
        (f"triarb.{node.module}", alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def in_python(program: str) -> str:
    """What a fresh interpreter prints that runs `program`."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", triarb.__all__)
def test_every_public_name_resolves_and_explains_itself(name: str):
    """Each is there, is what its home holds, and says what it is."""
    value = getattr(triarb, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    assert inspect.getdoc(value)
    assert value.__name__ == name


def test_public_names_are_sorted_and_are_what_dir_shows():
    """In one order, each once; a name that is not public is an AttributeError that names it."""
    assert triarb.__all__ == sorted(set(triarb.__all__))
    assert dir(triarb) == triarb.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        _ = triarb.nonsense


def test_every_public_name_has_one_home():
    """The stub takes it from one module, under its own name; what it names is defined in that room and named once."""
    names = [name for _, name in homes()]
    assert sorted(names) == triarb.__all__
    values = {name: getattr(triarb, name) for name in names}
    assert len({id(value) for value in values.values()}) == len(values)
    for home, name in homes():
        assert getattr(importlib.import_module(home), name) is values[name]
        if name not in DEFINED_BELOW_ITS_HOME:
            assert f"{values[name].__module__}.".startswith(f"{home}."), name


def test_importing_triarb_loads_nothing_heavy():
    """In a fresh interpreter neither the import nor the list of names loads a library that takes its time."""
    program = "import json, sys, triarb; dir(triarb); print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(in_python(program))}
    assert "triarb" in loaded
    assert not loaded & HEAVY


def test_the_words_load_no_more_than_they_need():
    """Market data, money and the nouns are free of every heavy library; what needs one says so by its name."""
    program = (
        "import json, sys\n"
        "from triarb import Snapshot, RateTable, FeeSchedule, Money, Market, SystemClock, TriarbError\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = {name.partition(".")[0] for name in json.loads(in_python(program))}
    assert not loaded & HEAVY


def drawn_tree() -> dict[str, str]:
    """By name of an error the name of the one that it hangs from, as the docstring of `exceptions` draws it."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in exceptions.__doc__.splitlines():
        match = re.match(r" {4}([│├└─ ]*)([A-Z]\w+)", line)
        if match is None:
            continue
        del above[len(match[1]) // 4 :]
        parents[match[2]] = above[-1] if above else "Exception"
        above.append(match[2])
    return parents


def test_the_tree_of_errors_is_the_one_that_is_drawn():
    """Every error of the module hangs where the drawing at its top says, and none is drawn that is not there."""
    errors = {
        name: error
        for name, error in vars(exceptions).items()
        if inspect.isclass(error) and issubclass(error, Exception)
    }
    assert len(errors) == 12
    assert drawn_tree() == {name: error.__bases__[0].__name__ for name, error in errors.items()}
    assert errors.keys() <= set(triarb.__all__)


@pytest.mark.once
def test_errors_are_defined_in_one_file_that_imports_nothing():
    """No other module makes one; the loopback exchange, which plays another program, has its own to answer with."""
    known = {*vars(exceptions), "Exception", "ValueError", "RuntimeError", "BaseException"}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        made = [
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and {base.id for base in node.bases if isinstance(base, ast.Name)} & known
        ]
        if path.name == "exceptions.py" and path.parent == PACKAGE:
            assert len(made) == 12
            assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        elif PACKAGE / "testing" not in path.parents:
            assert made == [], path


def test_an_error_carries_code_message_and_hint():
    """A code for programs, a sentence for people, and what would mend it where something would."""
    error = exceptions.SourceError("there is no file x", code="source.missing", hint="make one")
    assert (error.code, error.message, error.hint) == (
        "source.missing",
        "there is no file x",
        "make one",
    )
    assert str(error) == "there is no file x (make one)"
    assert str(exceptions.LedgerError("it is shut", code="ledger.closed")) == "it is shut"
    assert exceptions.UsageError("no").code == "usage.invalid"
    assert exceptions.PolicyViolation("no").code == "policy.violation"
    assert isinstance(exceptions.UsageError("no"), ValueError)


def test_protocols_defines_nothing():
    """The page of plug-in points only takes names from where they are defined, under their own names."""
    tree = ast.parse(Path(inspect.getfile(protocols)).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name
            assert getattr(protocols, alias.name).__module__ == node.module


def test_protocols_shows_every_plug_in_point():
    """Each Protocol of the package is on the page, and nothing else; none of them costs an implementation a dict."""
    made = {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        and not node.name.startswith("_")
    }
    shown = {name: value for name, value in vars(protocols).items() if inspect.isclass(value)}
    assert set(shown) == made
    for name, protocol in shown.items():
        assert protocol._is_protocol, name
        assert protocol.__slots__ == (), name


def test_the_package_ships_its_types():
    """The marker that tells type checkers to read it, and the stub that resolves its names, are installed with it."""
    files = resources.files("triarb")
    assert files.joinpath("py.typed").is_file()
    assert files.joinpath("__init__.pyi").is_file()
