"""What is checked, and how. `nox` runs all that a change must pass; `nox -l` lists the rest."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

# ccxt has a thousand modules: compiled once at install, not anew by every process of every test.
ENV = {"UV_COMPILE_BYTECODE": "1", "PYTHONDONTWRITEBYTECODE": None}

OCTOBOT = "OctoBot-Triangular-Arbitrage==1.2.2"

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # those that are there
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "contracts", "docs", "tests"]


if shutil.which("pyenv"):  # its python3.12 answers only once that version is switched on
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
    there = [v for v in listed.stdout.split() if v.rpartition(".")[0] in PYTHONS]
    os.environ["PYENV_VERSION"] = ":".join(there) or os.environ.get("PYENV_VERSION", "")


def install(session: nox.Session, package: str, group: str) -> None:
    """The package as a user gets it, and what one dependency group adds."""
    session.install(package, *nox.project.dependency_groups(PROJECT, group), env=ENV)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling, and a sentence in every test."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", "src", "tests", "docs", "benchmarks", "README.md", "CHANGELOG.md")
    session.run("interrogate", "-q", "tests")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    install(session, ".[testing]", "types")
    session.run("mypy")


@nox.session
def contracts(session: nox.Session) -> None:
    """Imports point one way."""
    install(session, ".[testing]", "contracts")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The docs site; a warning is an error."""
    install(session, ".[testing]", "docs")
    built = "docs/_build/html"
    session.run("sphinx-build", "-q", "-n", "-T", "-W", "--keep-going", "docs", built, env=ENV)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test, on the installed package; on the oldest Python with branch coverage, and then what takes long."""
    install(session, ".[fast,testing]", "tests")
    command = ("pytest", "-q", "--dist", "worksteal")
    oldest = session.python == PYTHONS[0]
    coverage = ("--cov", "--cov-report=term") if oldest else ()
    session.run(*command, "-n", "2", "-m", "not once", *coverage, *session.posargs, env=ENV)
    if oldest:  # of these many wait for processes and sockets
        session.run(*command, "-n", "3", "-m", "once", *session.posargs, env=ENV)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed, as ratios against rivals run side by side. `nox -s bench -- --quick` only tries whether it works."""
    install(session, ".[fast]", "bench")
    rivals = [] if "--quick" in session.posargs else octobot(session)
    session.run("python", "-m", "benchmarks", *rivals, *session.posargs, env=ENV)


def octobot(session: nox.Session) -> list[str]:
    """OctoBot-Triangular-Arbitrage in an environment of its own, whose pins clash with ours; none where it fails."""
    place = Path(session.virtualenv.location) / "octobot"
    python = str(place / "bin" / "python")
    installed = place / "installed"
    if not installed.exists():
        try:
            session.run("uv", "venv", "-q", "--clear", "--python", ">=3.10,<3.13", str(place))
            build = ("--config-file", "benchmarks/octobot.toml")
            session.run("uv", "pip", "install", "-q", *build, "--python", python, OCTOBOT)
        except nox.command.CommandFailed:
            session.warn(f"{OCTOBOT} could not be installed: the benchmark runs without it")
            return []
        installed.touch()
    return ["--octobot", python]


@nox.session
def soak(session: nox.Session) -> None:
    """What takes too long for every change, each part under a random seed, which it prints."""
    install(session, ".[testing]", "tests")
    kill_processes(session)
    break_everything(session)
    grow_old(session)


def kill_processes(session: nox.Session) -> None:
    """Kill 1,000 trading processes at any moment; TRIARB_KILLS and TRIARB_SEED say otherwise."""
    told = {"TRIARB_KILLS": "1000", "TRIARB_SEED": str(time.time_ns()), **os.environ}
    chosen = {name: told[name] for name in ("TRIARB_KILLS", "TRIARB_SEED")}
    session.run("pytest", "-q", "tests/test_kill.py", env=ENV | chosen)


def break_everything(session: nox.Session) -> None:
    """Let anything go wrong with an engine at any moment; TRIARB_EXAMPLES says how often instead of 5 x 3,000 times."""
    examples = {"TRIARB_EXAMPLES": os.environ.get("TRIARB_EXAMPLES", "3000")}
    session.run("pytest", "-q", "tests/test_execution_statemachine.py", env=ENV | examples)


def grow_old(session: nox.Session) -> None:
    """Let an engine see 100,000 changes of quotes, and look whether it grows; TRIARB_TICKS says otherwise."""
    ticks = {"TRIARB_TICKS": os.environ.get("TRIARB_TICKS", "100000")}
    session.run("pytest", "-q", "-s", "tests/test_growth.py", env=ENV | ticks)


@nox.session
def sandbox(session: nox.Session) -> None:
    """Whole cycles in an exchange's own sandbox, and their transcript; TRIARB_EXCHANGE, TRIARB_API_KEY, TRIARB_SECRET_KEY."""
    session.install(".", env=ENV)
    session.run("python", "-m", "sandbox", *session.posargs, env=ENV)


@nox.session
def mutants(session: nox.Session) -> None:
    """Mistakes that the law of execution forbids, made one by one, then those of mutmut: each must break a test."""
    install(session, ".[testing]", "tests")
    session.install("mutmut>=3.3")
    session.run("python", "-m", "mutations", *session.posargs, env=ENV)
    if not session.posargs:
        session.run("python", "-m", "mutations.generated", env=ENV)
