"""Report: what runs came to, from the ledger's events alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import attrs

from triarb.clock import NS_PER_SECOND, iso
from triarb.market.fee_check import charged_by, check_fees
from triarb.model import (
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    FeeCheck,
    Halted,
    LedgerEvent,
    Outcome,
    Resumed,
    RunEnded,
)
from triarb.money import ZERO, arithmetic, plain

UNPROFITABLE = "cycle.unprofitable"


@attrs.frozen
class Report:
    """The sum of one or more runs.

    Attributes:
        exchange: where; empty before the first run ended.
        mode: paper, replay, sandbox or live.
        started_ns: when the first run began.
        seconds: how long the runs took together, by their own clock.
        counts: `batches`, `quotes`, `nominated`, `cycles` (distinct nominations), `confirmed`, `approved`, `planned`.
        refused: how many nominations went no further, by code.
        executions: what was carried out.
        halted: why the engine is halted, if it is.
        unfinished: the numbers of the executions without a proven end.
    """

    exchange: str
    mode: str
    started_ns: int
    seconds: float
    counts: Mapping[str, int]
    refused: Mapping[str, int]
    executions: tuple[Execution, ...]
    halted: str | None = None
    unfinished: tuple[int, ...] = ()

    @classmethod
    def of(cls, events: Iterable[LedgerEvent]) -> "Report":
        """The report of a ledger's events, in order."""
        counts: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        executions = []
        exchange = mode = ""
        started_ns, elapsed_ns = 0, 0
        halted = None
        unfinished: dict[int, None] = {}
        for event in events:
            match event:
                case RunEnded():
                    counts.update(event.counts)
                    refused.update(event.refused)
                    exchange, mode = event.exchange, event.mode
                    started_ns = started_ns or event.started_ns
                    elapsed_ns += event.at_ns - event.started_ns
                case ExecutionStarted():
                    unfinished[event.number] = None
                case ExecutionEnded():
                    executions.append(event.execution)
                    if event.execution.outcome is not Outcome.STUCK:
                        unfinished.pop(event.execution.number, None)
                case Halted():
                    halted = event.reason
                case Resumed():
                    halted = None
                case _:
                    pass
        return cls(
            exchange,
            mode,
            started_ns,
            elapsed_ns / NS_PER_SECOND,
            dict(counts),
            dict(refused.most_common()),
            tuple(executions),
            halted,
            tuple(unfinished),
        )

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many executions ended how."""
        return dict(Counter(execution.outcome for execution in self.executions))

    @property
    def state(self) -> str:
        """``"stuck"``, ``"halted"`` or ``"done"``."""
        if self.unfinished or Outcome.STUCK in self.outcomes:
            return "stuck"
        return "halted" if self.halted is not None else "done"

    @property
    def net(self) -> dict[str, Decimal]:
        """The result by start asset, fees taken off in whatever asset, residues at nothing."""
        return _sum((e.plan.start, e.result) for e in self.executions)

    @property
    def fees(self) -> dict[str, Decimal]:
        """What was charged, by the asset it was charged in."""
        return _sum(item for e in self.executions for item in e.fees.items())

    @property
    def fee_cost(self) -> dict[str, Decimal]:
        """The same fees in the start assets, each turned at the prices that the rest of its cycle traded at."""
        return _sum((e.plan.start, e.fee_cost) for e in self.executions)

    @property
    def fees_from(self) -> dict[str, int]:
        """How many of the legs carried out had their fee known from where."""
        legs = (leg for e in self.executions for leg in e.plan.legs[: len(e.legs)])
        return dict(Counter(str(leg.fee.provenance) for leg in legs))

    @property
    def fee_checks(self) -> Mapping[str, FeeCheck]:
        """By symbol, what fills were charged against what their plans counted on."""
        return check_fees(map(charged_by, self.executions))

    @property
    def gross(self) -> dict[str, Decimal]:
        """What the result would have been without the fees: net plus `fee_cost`."""
        return _sum((*self.net.items(), *self.fee_cost.items()))

    @property
    def residues(self) -> dict[str, Decimal]:
        """What was left in, or taken from, middle assets."""
        return {
            asset: amount
            for asset, amount in _sum(
                item for e in self.executions for item in e.residues.items()
            ).items()
            if amount
        }

    @property
    def residue_worth(self) -> dict[str, Decimal]:
        """What of them is left beyond what was taken of others, in the start assets, at the prices of their cycles."""
        return _sum((e.plan.start, e.left) for e in self.executions)

    @property
    def missed(self) -> int:
        """Executions whose prices were gone when an order arrived: a leg filled nothing or too little."""
        outcomes = self.outcomes
        ends = (Outcome.NOTHING, Outcome.SHORT, Outcome.UNWOUND)
        return sum(outcomes.get(end, 0) for end in ends)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: amounts as strings."""
        return {
            "exchange": self.exchange,
            "mode": self.mode,
            "state": self.state,
            "started": iso(self.started_ns),
            "seconds": round(self.seconds, 3),
            **{name: self.counts.get(name, 0) for name in COUNTS},
            "ghosts": self.refused.get(UNPROFITABLE, 0),
            "refused": dict(self.refused),
            "executed": len(self.executions),
            "outcomes": {str(outcome): n for outcome, n in self.outcomes.items()},
            "missed": self.missed,
            **{name: _texts(getattr(self, name)) for name in ("gross", "fee_cost", "net", "fees")},
            "fees_from": self.fees_from,
            "fee_drift_bps": {s: plain(check.drift_bps) for s, check in self.fee_checks.items()},
            "residues": _texts(self.residues),
            "residue_worth": _texts(self.residue_worth),
            "halted": self.halted,
            "unfinished": list(self.unfinished),
        }

    def lines(self) -> list[tuple[str, str]]:
        """The report for a person: a name and what is to say, line by line."""
        counts = self.counts
        ghosts = self.refused.get(UNPROFITABLE, 0)
        outcomes = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items()) or "none"
        return [
            ("exchange", f"{self.exchange} ({self.mode}), {self.seconds:.1f} s"),
            ("seen", f"{counts.get('quotes', 0)} quotes in {counts.get('batches', 0)} batches"),
            (
                "nominated",
                f"{counts.get('nominated', 0)}, of {counts.get('cycles', 0)} different cycles",
            ),
            ("confirmed", f"{counts.get('confirmed', 0)} on fresh books; {ghosts} were ghosts"),
            ("refused", ", ".join(f"{n} {code}" for code, n in self.refused.items()) or "none"),
            ("traded", outcomes),
            ("missed by latency", str(self.missed)),
            ("gross", _money(self.gross)),
            ("fees cost", _money(self.fee_cost) + self._from_in_words()),
            *self._drift_in_words(),
            ("net", _money(self.net)),
            ("left in other assets", _money(self.residues)),
            *self._left_in_words(),
            *([("halted", self.halted)] if self.halted is not None else []),
            *([("unproven", self._unproven())] if self.unfinished else []),
        ]

    def _unproven(self) -> str:
        numbers = ", ".join(map(str, self.unfinished))
        return f"execution {numbers}: look at its orders at the exchange; nothing trades before"

    def _from_in_words(self) -> str:
        told = ", ".join(self.fees_from)
        return f", by {told}" if told else ""

    def _drift_in_words(self) -> list[tuple[str, str]]:
        """Where fills were charged otherwise than their plans said; nothing where none were."""
        found = [
            f"{symbol} {check.drift_bps:+.4f} bps in {' and '.join(check.assets) or 'nothing'}"
            for symbol, check in self.fee_checks.items()
            if check.drift_bps or check.unexpected
        ]
        return [("fees not as told", ", ".join(found))] if found else []

    def _left_in_words(self) -> list[tuple[str, str]]:
        if not self.residues:
            return []
        together = _sum((*self.net.items(), *self.residue_worth.items()))
        return [
            ("worth of those", f"{_money(self.residue_worth)} at their cycles' prices; not sold"),
            ("net with those", f"{_money(together)} if they could be sold so"),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{name + ':':<22}{text}" for name, text in self.lines())


COUNTS = ("batches", "quotes", "nominated", "cycles", "confirmed", "approved", "planned")


def _sum(items: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    with arithmetic():
        for asset, amount in items:
            total[asset] = total.get(asset, ZERO) + amount
    return total


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {asset: plain(amount) for asset, amount in amounts.items()}


def _money(amounts: Mapping[str, Decimal]) -> str:
    return (
        ", ".join(f"{plain(round(amount, 12))} {asset}" for asset, amount in amounts.items())
        or "nothing"
    )
