"""The application: its commands, and the one place where an error becomes a line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 halted, 4 stuck, 130 interrupted.
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from triarb.cli.output import console, error_console, printable
from triarb.exceptions import ConfigError, TriarbError, UsageError

DONE, FAILED, WRONG_USAGE, HALTED, STUCK, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = App(
    name="triarb",
    help="Finds, judges, executes and measures triangular and multi-leg arbitrage on a spot exchange.",
    help_format="plaintext",
    version=lambda: version("triarb"),
)
COMMANDS = {  # each is imported when it is asked for
    "scan": "Find the profitable cycles of a snapshot file or a live exchange.",
    "demo": "Run the whole engine on a generated exchange; needs nothing.",
    "paper": "Trade on paper: live prices, simulated orders, a real ledger.",
    "run": "Trade in an exchange's own sandbox, with keys.",
    "config": "Show what holds and where it comes from; write a file to begin with.",
    "doctor": "Examine whether a configuration could trade, without trading.",
    "limits": "Show the limits that hold, and set one by hand.",
    "report": "Report what the runs of a ledger came to.",
    "halt": "Stop all trading on ledgers: no new exposure from now on.",
    "resume": "Lift the halt of a ledger, by hand.",
    "ack": "Acknowledge that you looked at a bot.",
    "audit": "Check an audit log, or show what it says last.",
    "status": "Say where a ledger stands, and what would happen if the plug were pulled.",
    "recover": "Prove what is open in a ledger and end what was cut off; begin nothing.",
    "resolve": "Say what became of an order that is stuck.",
    "flow": "Book a deposit or a withdrawal.",
    "sweep": "Turn back what executions left in other assets.",
}
for name, summary in COMMANDS.items():
    app.command(f"triarb.cli.{name}:{name}", name=name, help=summary)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process, if None) and return its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        state = app(
            tokens,
            console=console(),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        message = " ".join(str(error).split())
        hint = "triarb --help lists what there is"
        return _fail(tokens, "usage.invalid", message, hint, WRONG_USAGE)
    except ConfigError as error:
        return _fail_config(tokens, error)
    except UsageError as error:
        return _fail(tokens, error.code, error.message, error.hint, WRONG_USAGE)
    except TriarbError as error:
        return _fail(tokens, error.code, error.message, error.hint, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return DONE
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{error.filename}: {error.strerror}"
        return _fail(tokens, "file.unusable", message, "name another file", FAILED)
    return {"halted": HALTED, "stuck": STUCK, "failed": FAILED}.get(str(state), DONE)


def _fail_config(tokens: Sequence[str], error: ConfigError) -> int:
    """A line for each thing that is wrong."""
    if "--json" in tokens:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        print(json.dumps({"error": {**told, "problems": list(error.problems)}}))  # noqa: T201
    else:
        for line in f"triarb: {error.message}".split("\n"):
            error_console().print(printable(line), markup=False, highlight=False)
    return WRONG_USAGE


def _fail(tokens: Sequence[str], code: str, message: str, hint: str, exit_code: int) -> int:
    if "--json" in tokens:
        print(json.dumps({"error": {"code": code, "message": message, "hint": hint}}))  # noqa: T201
    else:
        tail = f" ({hint})" if hint else ""
        line = printable(f"triarb: {message}{tail}")
        error_console().print(line, markup=False, highlight=False)
    return exit_code
