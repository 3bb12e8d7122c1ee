"""Makes each mistake of `mutations.toml` in a copy of the package and runs the tests that should find it.

A mistake that no test finds, or whose text is no longer in the package exactly once, fails the run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
TIMEOUT_SECONDS = 150
"""Many times what any of the tests takes: a mistake that makes them hang is found, too."""


@attrs.frozen
class Mutant:
    """One mistake.

    Attributes:
        name: what was done wrong.
        law: the failure or invariant of the law book that it breaks.
        file: below `src/triarb`.
        old: text that is in it exactly once.
        new: what stands there instead.
        tests: what must fail, as pytest takes it.
    """

    name: str
    law: str
    file: str
    old: str
    new: str
    tests: list[str]


def main(wanted: list[str]) -> int:
    """Try the mutants whose names contain one of `wanted`, or all; 0 where every one was found."""
    told = tomllib.loads((ROOT / "mutations" / "mutations.toml").read_text())
    mutants = [Mutant(**entry) for entry in told["mutant"]]
    chosen = [m for m in mutants if not wanted or any(word in m.name for word in wanted)]
    survived = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, verdict in zip(chosen, pool.map(attempt, chosen), strict=True):
            survived += verdict != "found"
            print(f"{verdict:10} {mutant.law:12} {mutant.name}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mistakes are found by a test")
    return 1 if survived or not chosen else 0


def attempt(mutant: Mutant) -> str:
    """What became of it: found, SURVIVED, or NOT THERE where its text is not."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / "triarb" / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            return "NOT THERE"
        file.write_text(text.replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        try:
            run = subprocess.run(
                [*command, *mutant.tests],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(copy)},
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "found"
        return {0: "SURVIVED", 1: "found"}.get(run.returncode, f"EXIT {run.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
