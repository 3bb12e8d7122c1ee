"""Report: what runs came to, from the ledger's events alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from triarb.clock import NS_PER_SECOND, iso
from triarb.model import (
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Halted,
    LedgerEvent,
    Outcome,
    Resumed,
    RunEnded,
    Side,
    gross_rate,
)
from triarb.money import ZERO, arithmetic, plain, to_decimal

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
        """The result by start asset, fees taken off, residues at nothing."""
        return _sum((e.plan.start, e.result) for e in self.executions)

    @property
    def fees(self) -> dict[str, Decimal]:
        """What was charged, by the asset it was charged in."""
        return _sum(item for e in self.executions for item in e.fees.items())

    @property
    def fee_cost(self) -> dict[str, Decimal]:
        """The same fees in the start assets, each turned at the prices that the rest of its cycle traded at."""
        return _sum((e.plan.start, fee_cost(e)) for e in self.executions)

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
        """The same in the start assets, at the prices that the rest of their cycles would have traded at."""
        return _sum((e.plan.start, residue_worth(e)) for e in self.executions)

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
            ("fees cost", _money(self.fee_cost)),
            ("net", _money(self.net)),
            ("left in other assets", _money(self.residues)),
            *self._left_in_words(),
            *([("halted", self.halted)] if self.halted is not None else []),
            *([("unproven", self._unproven())] if self.unfinished else []),
        ]

    def _unproven(self) -> str:
        numbers = ", ".join(map(str, self.unfinished))
        return f"execution {numbers}: look at its orders at the exchange; nothing trades before"

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


def fee_cost(execution: Execution) -> Decimal:
    """The fees of one execution in its start asset, by `_worth`.

    A fee in an asset outside the cycle has no price here and counts nothing: `Report.fees` shows it.
    """
    return _valued(execution, execution.fees)


def residue_worth(execution: Execution) -> Decimal:
    """What one execution left in middle assets, in its start asset, by `_worth`: nobody has sold it yet."""
    return _valued(execution, execution.residues)


def _valued(execution: Execution, amounts: Mapping[str, Decimal]) -> Decimal:
    worth = _worth(execution)
    return to_decimal(
        sum((Fraction(n) * worth.get(asset, 0) for asset, n in amounts.items()), Fraction(0))
    )


def _worth(execution: Execution) -> dict[str, Fraction]:
    """A unit of each asset of the cycle in the start asset, at the gross prices of the legs after it.

    A leg that did not fill counts with its limit price.
    """
    worth = {execution.plan.start: Fraction(1)}
    for number, leg in reversed(list(enumerate(execution.plan.legs))):
        fills = execution.legs[number].fills if number < len(execution.legs) else ()
        if fills:
            with arithmetic():
                notional = sum((fill.amount * fill.price for fill in fills), ZERO)
                amount = sum((fill.amount for fill in fills), ZERO)
            rate = Fraction(notional) / Fraction(amount)
            rate = 1 / rate if leg.side is Side.BUY else rate
        else:
            rate = gross_rate(leg.side, leg.limit_price)
        worth.setdefault(leg.given_asset, worth[leg.received_asset] * rate)
    return worth


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
