"""What is checked, and how. `nox` runs all that a change must pass; `nox -l` lists the rest."""

import nox

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # those that are there
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "contracts", "docs", "tests"]


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling, and a sentence in every test."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", "src", "tests", "docs", "README.md", "CHANGELOG.md")
    session.run("interrogate", "-q", "tests")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    session.install("-e", ".[testing]", *_group("types"))
    session.run("mypy")


@nox.session
def contracts(session: nox.Session) -> None:
    """Imports point one way."""
    session.install("-e", ".[testing]", *_group("contracts"))
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The docs site; a warning is an error."""
    session.install("-e", ".[testing]", *_group("docs"))
    session.run("sphinx-build", "-q", "-n", "-T", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test, on the installed package, with branch coverage."""
    session.install(".[testing]", *_group("tests"))
    session.run("coverage", "erase")
    session.run(
        "pytest",
        *("-q", "-n", "2", "--cov=triarb", "--cov-branch", "--cov-report=term", "--cov-fail-under=95"),
        *session.posargs,
        env={"COVERAGE_FILE": f".coverage.{session.python}"},
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Speed, as ratios against rivals run side by side."""
    session.install(".[testing]", *_group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
