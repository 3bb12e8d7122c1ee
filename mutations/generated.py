"""The mistakes that mutmut makes by itself, in the rooms where money is counted, sent and limited.

It works in a copy of the project. Where fewer than `LEAST` of them are found, the run fails; those that no test finds are
listed with what they change. Most that stay change the words of a message, or nothing that can be seen: a rounding's side at
a value that has no rest, a digit set that is stripped, a default that every caller gives.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
LEAST = 0.85
"""How many of a room's mistakes a test must find."""

PATIENCE = 1.5
"""How many times as long as its tests usually take a mistake may run that makes them wait for ever, on a clock of their own."""

COPIED = ("src", "tests", "docs", "conftest.py", "pyproject.toml", "README.md")
FOUND = ("killed", "timeout", "segfault", "suspicious")


@attrs.frozen
class Room:
    """What is changed, and the tests that should find it.

    Attributes:
        sources: below `src/triarb`, as patterns.
        tests: below `tests`.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = (
    Room("money", ("money.py",), ("test_money.py", "test_limits_in_money.py")),
    Room(
        "decisions",  # of execution, which are pure
        tuple(f"execution/{name}.py" for name in ("ids", "machine", "proof", "steps", "unwinding")),
        (
            "test_execution_decisions.py",
            "test_execution_machine.py",
            "test_execution_unwinding.py",
            "test_proving.py",
        ),
    ),
    Room(
        "execution",  # that carries them out
        tuple(
            f"execution/{name}.py"
            for name in ("course", "executor", "halt", "proving", "recovery", "resolving")
        ),
        (
            "test_changed_rules.py",
            "test_execution.py",
            "test_execution_crashes.py",
            "test_execution_recovery.py",
            "test_execution_unwinding.py",
            "test_halt.py",
            "test_parallel.py",
            "test_proving.py",
            "test_refresh.py",
            "test_resolving.py",
        ),
    ),
    Room(
        "risk",
        ("risk/*",),
        (
            "test_breaker.py",
            "test_daily_loss.py",
            "test_fee_check.py",
            "test_limits_in_money.py",
            "test_policies.py",
            "test_risk.py",
            "test_tightening.py",
            "test_words_of_limits.py",
        ),
    ),
)


def main(wanted: list[str]) -> int:
    """Try the rooms of these names, or all; 0 where enough was found in each."""
    short = 0
    for room in ROOMS:
        if wanted and room.name not in wanted:
            continue
        found, made, survivors = attempt(room)
        short += found < LEAST * made or not made
        for survivor in survivors:
            print(f"  {survivor}")
        share = found / made if made else 0
        print(f"{room.name}: {found} of {made} are found ({share:.1%})", flush=True)
    return 1 if short else 0


def attempt(room: Room) -> tuple[int, int, list[str]]:
    """How many mistakes were found, how many were made, and the names of the others."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            there = ROOT / name
            if there.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "_build")
                shutil.copytree(there, copy / name, ignore=ignored)
            else:
                shutil.copy(there, copy / name)
        with (copy / "pyproject.toml").open("a") as settings:
            settings.write(configured(room))
        changed = (
            copy / "mutants" / "src"
        )  # where mutmut imports from, and what it starts should, too
        changed.mkdir(parents=True)  # Python forgets a folder on its path that was not there once
        env = {**os.environ, "PYTHONPATH": str(changed)}
        with (copy / "output").open("w") as output:
            command = [sys.executable, "-m", "mutmut", "run"]
            run = subprocess.run(
                command, cwd=copy, env=env, stdout=output, stderr=output, check=False
            )
        told = copy / "mutants" / "mutmut-cicd-stats.json"
        asked(copy, env, "export-cicd-stats")
        if run.returncode or not told.exists():
            print((copy / "output").read_text().rpartition("\r")[2][-2000:])
            return 0, 0, []
        counts = json.loads(told.read_text())
        results = [line.partition(":") for line in asked(copy, env, "results")]
        survivors = [name.strip() for name, _, end in results if end.strip() not in FOUND]
        changes = [" ".join(changed_lines(asked(copy, env, "show", name))) for name in survivors]
        shown = [
            f"{name.rpartition('.')[2]}: {change}"
            for name, change in zip(survivors, changes, strict=True)
        ]
        return sum(counts[kind] for kind in FOUND), counts["total"], shown


def asked(copy: Path, env: Mapping[str, str], *question: str) -> list[str]:
    """What mutmut says."""
    command = [sys.executable, "-m", "mutmut", *question]
    answer = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
    return [line for line in answer.stdout.splitlines() if line.strip()]


def changed_lines(diff: Iterable[str]) -> Iterator[str]:
    """What a unified diff takes away and adds."""
    for line in diff:
        if line[0] in "+-" and not line.startswith(("+++", "---")):
            yield f"{line[0]} {line[1:].strip()}"


def configured(room: Room) -> str:
    """What mutmut is told."""
    changed = [f"src/triarb/{name}" for name in room.sources]
    tests = [f"tests/{name}" for name in room.tests]
    return (
        f"\n[tool.mutmut]\nsource_paths = ['src']\nonly_mutate = {json.dumps(changed)}\n"
        f"pytest_add_cli_args_test_selection = {json.dumps(tests)}\n"
        'also_copy = ["tests", "docs", "conftest.py", "README.md"]\n'
        f"timeout_multiplier = {PATIENCE}\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
