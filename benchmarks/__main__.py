"""`python -m benchmarks [--quick] [--octobot PYTHON] [NAME ...]`: run the benchmarks of these names, or all."""

import argparse
import importlib
from pathlib import Path

from rich.console import Console

NAMES = (
    "finders",
    "ticks",
    "cost",
)  # modules beside this one, each with a `report(console, options)`


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="tiny and once: only whether it works")
    parser.add_argument(
        "--octobot", type=Path, help="a Python that has OctoBot-Triangular-Arbitrage"
    )
    options = parser.parse_args()
    if unknown := set(options.names).difference(NAMES):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}")
    console = Console()
    for name in options.names or NAMES:
        importlib.import_module(f"benchmarks.{name}").report(console, options)


if __name__ == "__main__":
    main()
