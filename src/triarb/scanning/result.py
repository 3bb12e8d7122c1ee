"""The answer of a scan: it prints, it shows as a table in a notebook, and it turns into records and JSON."""

import html
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from triarb.explaining import Explanation
from triarb.market.certificate import Certificate
from triarb.model import Cycle, Refused
from triarb.money import plain, to_decimal
from triarb.pricing import Value, break_even_fee_bps

RATE_PLACES = 12


@attrs.frozen
class ScannedCycle:
    """A nominated cycle and what became of it.

    Attributes:
        cycle: begun in the start asset that it is judged from.
        executable: whether some size profits; None where sizes are not known.
        reason: why it is not executable.
        amount: what leg 1 spends at the size of most profit, in the start asset.
        profit: what that brings more than it spends.
        flags: ``implausible`` (an edge above 5 %), ``stale`` (a quote a minute older than the rest), ``locked``.
        explanation: where every unit of it goes, if that was asked for.
        value: what the profit is worth in the asset that was asked for, or why nobody can say; None if none was.
    """

    cycle: Cycle
    executable: bool | None
    reason: Refused | None
    amount: Decimal | None = None
    profit: Decimal | None = None
    flags: tuple[str, ...] = ()
    explanation: Explanation | None = None
    value: Value | Refused | None = None

    @property
    def worth(self) -> Decimal | None:
        """What the profit is worth in the asset that was asked for; None where that is not known."""
        return self.value.worth.amount if isinstance(self.value, Value) else None

    @property
    def break_even_fee_bps(self) -> float:
        """The fee a leg, from the received asset, at which the cycle earns nothing: ``1 - gross ** (-1 / legs)``."""
        return float(break_even_fee_bps(self.cycle))

    def to_dict(self) -> dict[str, Any]:
        """As in the command's JSON."""
        cycle = self.cycle
        return {
            "id": cycle.id,
            "assets": list(cycle.assets),
            "start": cycle.start,
            "legs": [
                {"symbol": leg.market.symbol, "side": str(leg.side), "price": plain(leg.price)}
                for leg in cycle.legs
            ],
            "gross_rate": _rate(cycle.gross_ratio),
            "net_rate": _rate(cycle.net_ratio),
            "edge_bps": round(float(cycle.edge_bps), 4),
            "break_even_fee_bps": self.break_even_fee_bps,
            "executable": self.executable,
            "reason": self.reason.code if self.reason else None,
            "amount": None if self.amount is None else plain(self.amount),
            "profit": None if self.profit is None else plain(self.profit),
            "flags": list(self.flags),
            **self._worth(),
            **({"explanation": self.explanation.records()} if self.explanation else {}),
        }

    def _worth(self) -> dict[str, Any]:
        """For the JSON, where a worth was asked for."""
        if self.value is None:
            return {}
        worth = None if self.worth is None else plain(self.worth)
        reason = self.value.code if isinstance(self.value, Refused) else None
        return {"worth": worth, "worth_reason": reason}


@attrs.frozen(repr=False)
class ScanResult:
    """What a scan found.

    Attributes:
        source: what was scanned, in words; tells when it was generated.
        fees: usable markets by where their fee is known from.
        markets: usable markets.
        assets: assets that they trade.
        count: nominated cycles; `cycles` holds the best of them.
        executable: how many of all nominated cycles are; None where none is and the sizes of some are not known.
        refused: markets that cannot be traded on, by code.
        certificate: the proof, verified, that no cycle of any length can profit at these fees; None where there is none.
        holds_at_fee_bps: the smallest fee, the same on every leg and from the received asset, at which there is one.
        load_ms: reading the source, up to the rates.
        search_ms: from the rates to the cycles confirmed; proving is not in it.
        fee_notes: usable markets by what is noted of their fees, such as that nobody verified the asset.
        value_in: the asset that profits are valued in, if that was asked for.
        unvalued: how many profits have no worth in it, by why.
    """

    exchange: str
    source: str
    timestamp: str
    fees: Mapping[str, int]
    fee_bps: Decimal | None
    markets: int
    assets: int
    min_legs: int
    max_legs: int
    min_edge_bps: Decimal
    start: tuple[str, ...]
    count: int
    executable: int | None
    certificate: Certificate | None
    holds_at_fee_bps: float
    cycles: tuple[ScannedCycle, ...]
    refused: Mapping[str, int]
    load_ms: float
    search_ms: float
    fee_notes: Mapping[str, int] = attrs.field(factory=dict)
    value_in: str | None = None
    unvalued: Mapping[str, int] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The command's JSON, as a dictionary."""
        return {
            "exchange": self.exchange,
            "timestamp": self.timestamp,
            "source": self.source,
            "fees": dict(self.fees),
            **({"fee_notes": dict(self.fee_notes)} if self.fee_notes else {}),
            "fee_bps": None if self.fee_bps is None else _number(self.fee_bps),
            "markets": self.markets,
            "assets": self.assets,
            "min_legs": self.min_legs,
            "max_legs": self.max_legs,
            "min_edge_bps": _number(self.min_edge_bps),
            "start": list(self.start) or None,
            "count": self.count,
            "executable": self.executable,
            "certificate": {
                "holds": self.certificate is not None,
                "holds_at_fee_bps": _rounded_up(self.holds_at_fee_bps),
            },
            "cycles": [cycle.to_dict() for cycle in self.cycles],
            "refused": dict(self.refused),
            **self._values(),
            "load_ms": round(self.load_ms, 3),
            "search_ms": round(self.search_ms, 3),
        }

    def _values(self) -> dict[str, Any]:
        if self.value_in is None:
            return {}
        return {"value_in": self.value_in, "unvalued": dict(self.unvalued)}

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary a listed cycle, for ``pandas.DataFrame(...)`` or ``polars.DataFrame(...)``."""
        return [
            {
                **{
                    k: v
                    for k, v in cycle.to_dict().items()
                    if k not in ("assets", "legs", "flags", "explanation")
                },
                "legs": len(cycle.cycle.legs),
                "path": " ".join(f"{leg.side} {leg.market.symbol}" for leg in cycle.cycle.legs),
                "flags": " ".join(cycle.flags),
            }
            for cycle in self.cycles
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """The listed cycles as text, a row each, under `HEADINGS`."""
        return [
            (
                " > ".join((*(leg.given for leg in c.cycle.legs), c.cycle.start)),
                f"{c.cycle.gross_rate:.9f}",
                f"{c.cycle.edge_bps:+.2f}",
                f"{c.break_even_fee_bps:.2f}",
                _verdict(c),
            )
            for c in self.cycles
        ]

    def headline(self) -> str:
        """What was looked at, in one sentence."""
        fees = ", ".join(f"{n} markets from {where}" for where, n in self.fees.items())
        told = (
            f"{plain(self.fee_bps)} bps on every leg"
            if self.fee_bps is not None
            else fees or "none known"
        )
        refused = ", ".join(f"{n} {code}" for code, n in self.refused.items())
        return (
            f"{self.exchange} at {self.timestamp} ({self.source}): {self.markets} usable markets of "
            f"{self.assets} assets; fees: {told}"
            + "".join(f"; fee of {n}: {note}" for note, n in self.fee_notes.items())
            + (f"; refused: {refused}" if refused else "")
        )

    def verdict(self) -> str:
        """What was found, in one or two sentences."""
        legs = (
            str(self.max_legs)
            if self.min_legs == self.max_legs
            else f"{self.min_legs} to {self.max_legs}"
        )
        through = f" through {', '.join(self.start)}" if self.start else ""
        if self.count == 0:
            return (
                f"None: no cycle of {legs} legs{through} earns more than {plain(self.min_edge_bps)} "
                f"bps after fees at these prices."
            )
        found = (
            f"{self.count} {'cycle' if self.count == 1 else 'cycles'} of {legs} legs{through} "
            f"above {plain(self.min_edge_bps)} bps after fees"
        )
        if self.executable is None:
            return f"{found}; sizes at the top of the book are not known, so none is confirmed."
        whole = f"{found}, of which {self.executable} can be traded at some size in whole steps."
        if not self.unvalued:
            return whole
        why = ", ".join(f"{n} {code}" for code, n in self.unvalued.items())
        return f"{whole} Without a worth in {self.value_in}, and last: {why}."

    def proof(self) -> str:
        """What is proved of cycles of any length, in one sentence."""
        if self.certificate is not None:
            return "No cycle of any length can profit at these fees (proved)."
        fee_bps = f"{_rounded_up(self.holds_at_fee_bps):.4f}"
        return (
            f"From a fee of {fee_bps} bps a leg on, no cycle of any length could profit (proved)."
        )

    def __str__(self) -> str:
        rows = [HEADINGS, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
        ]
        table = lines if self.cycles else []
        return "\n".join([self.headline(), self.verdict(), *table, self.proof()])

    __repr__ = __str__  # what a prompt shows

    def _repr_html_(self) -> str:
        def row(tag: str, cells: tuple[str, ...]) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row("td", cells) for cells in self.rows())
        table = f"<table>{row('th', HEADINGS)}{body}</table>" if self.cycles else ""
        head, verdict, proof = map(html.escape, (self.headline(), self.verdict(), self.proof()))
        return f"<p>{head}</p><p>{verdict}</p>{table}<p>{proof}</p>"


HEADINGS = ("cycle", "gross rate", "net edge (bps)", "break-even fee (bps a leg)", "executable")


def _verdict(scanned: ScannedCycle) -> str:
    flags = f" [{', '.join(scanned.flags)}]" if scanned.flags else ""
    if scanned.amount is not None and scanned.profit is not None:
        start = scanned.cycle.start
        worth = ""
        if scanned.value is not None:
            known = scanned.value.worth if isinstance(scanned.value, Value) else "unknown"
            worth = f", worth {known}"
        return (
            f"{plain(scanned.amount)} {start} earns {plain(scanned.profit)} {start}{worth}{flags}"
        )
    answer = "unknown" if scanned.executable is None else "no"
    return f"{answer}: {scanned.reason.sentence if scanned.reason else ''}{flags}"


def _rate(ratio: Fraction) -> str:
    return f"{to_decimal(ratio, RATE_PLACES):f}"


def _rounded_up(bps: float) -> float:
    """To four decimals, at which it then holds too; less than a billionth above them is the rounding of floats."""
    return math.ceil(bps * 10_000 - 1e-5) / 10_000


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
