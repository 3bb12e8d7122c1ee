"""A live table of what an engine does, for people who watch."""

from collections import Counter, deque
from types import TracebackType
from typing import Final, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from triarb.cli.output import error_console, table
from triarb.clock import NS_PER_MS, iso
from triarb.model import Confirmed, Declined, EngineEvent, Executed, Nominated, Planned
from triarb.money import plain

SHOWN: Final = 8


class LiveView:
    """An observer that shows counts, the latest executions and the latest refusals while an engine runs.

    It draws on the standard error, and only on a terminal.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._executions: deque[tuple[str, ...]] = deque(maxlen=SHOWN)
        self._now = ""
        out = error_console()
        self._live = Live(self, console=out, refresh_per_second=8, transient=True)
        self._visible = out.is_terminal

    def __enter__(self) -> Self:
        if self._visible:
            self._live.start()
        else:
            self._live.console.print(f"{self._title}: running; Ctrl-C ends it with its report")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._visible:
            self._live.stop()

    def __call__(self, event: EngineEvent) -> None:
        """Take in one event of the engine."""
        match event:
            case Nominated(at_ns, cycles):
                self._now = iso(at_ns)[11:19]
                self._counts["batches"] += 1
                self._counts["nominated"] += len(cycles)
            case Confirmed():
                self._counts["confirmed"] += 1
            case Planned():
                self._counts["planned"] += 1
            case Declined(_, _, refused):
                self._refused[refused.code] += 1
            case Executed(_, execution):
                took_ms = (execution.ended_ns - execution.started_ns) / NS_PER_MS
                self._executions.append(
                    (
                        iso(execution.started_ns)[11:19],
                        execution.plan.cycle_id,
                        str(execution.outcome),
                        f"{plain(round(execution.result, 8))} {execution.plan.start}",
                        f"{took_ms:.0f} ms",
                    )
                )
            case _:
                pass

    def __rich__(self) -> Group:
        """The table as it stands."""
        counts = ", ".join(f"{n} {name}" for name, n in self._counts.items()) or "waiting"
        refused = ", ".join(f"{n} {code}" for code, n in self._refused.most_common(4)) or "none"
        return Group(
            Text(f"{self._title}  {self._now}", style="bold"),
            Text(counts),
            Text(f"refused: {refused}"),
            table(
                ("time", "cycle", "outcome", "result", "took"),
                self._executions or [("-", "nothing traded yet", "", "", "")],
                right=(3, 4),
            ),
        )
