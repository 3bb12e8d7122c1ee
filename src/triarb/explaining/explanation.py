"""An Explanation: as text, as a table, as a record; all three from the same exact numbers."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from triarb.explaining.attribution import LegSize, Losses
from triarb.explaining.constraints import Constraint
from triarb.explaining.numbers import exact, near
from triarb.explaining.words import Word
from triarb.model import Cycle, Leg, Refused
from triarb.money import BPS, arithmetic, plain
from triarb.pricing import break_even_fee_bps

HEADINGS: Final = ("leg", "trade", "price", "depth used", "fee", "brings", "left over", "costs")


@attrs.frozen
class LegExplanation:
    """One leg: its price and its fee, and its numbers where a size is explained."""

    leg: Leg
    size: LegSize | None = None

    def to_dict(self, number: int) -> dict[str, Any]:
        """As a record; numbers are exact text, None where no size is explained or no book is known."""
        leg, size = self.leg, self.size
        with arithmetic():
            fee_bps = leg.fee.rate * BPS
        record = {
            "leg": number,
            "symbol": leg.market.symbol,
            "side": str(leg.side),
            "price": exact(leg.price),
            "given_asset": leg.given,
            "received_asset": leg.received,
            "fee_bps": exact(fee_bps),
            "fee_charged_in": leg.given if leg.fee.on_given(leg.side) else leg.received,
            "fee_from": str(leg.fee.provenance),
            "fee_note": leg.fee.note,
        }
        numbers = None
        if size is not None:
            planned, losses = size.planned, size.losses
            numbers = {
                "amount": planned.amount,
                "limit_price": planned.limit_price,
                "levels": size.levels,
                "shown": size.shown,
                "arrived": size.arrived,
                "given": planned.given,
                "received": planned.received,
                "fee": size.fee,
                "step_left": size.step_left,
                "limit_left": size.limit_left,
                "lost_to_fee": losses.fee,
                "lost_to_depth": losses.depth,
                "lost_to_step": losses.step,
                "lost_to_limit": losses.limit,
            }
        return record | {name: _text(numbers and numbers[name]) for name in _SIZE_KEYS}

    def row(self, number: int, start: str) -> tuple[str, ...]:
        """As a row of text."""
        leg, size = self.leg, self.size
        symbol, base = leg.market.symbol, leg.market.base
        with arithmetic():
            rate = f"{plain(leg.fee.rate * BPS)} bps, {leg.fee.provenance}"
        if size is None:
            return (str(number), f"{leg.side} {symbol}", plain(leg.price), "", rate, "", "", "")
        planned = size.planned
        price = plain(leg.price)
        if planned.limit_price != leg.price:
            price += f" to {plain(planned.limit_price)}"
        depth = ""
        if size.shown is not None:
            levels = "1 level" if size.levels == 1 else f"{size.levels} levels"
            depth = f"{plain(planned.amount)} of {plain(size.shown)} {base}, {levels}"
        lefts = [
            *([f"{plain(size.step_left)} {leg.given} by steps"] if size.step_left else []),
            *([f"{plain(size.limit_left)} {leg.given} by limit"] if size.limit_left else []),
        ]
        return (
            str(number),
            f"{leg.side} {plain(planned.amount)} {symbol}",
            price,
            depth,
            f"{near(size.fee)} {size.fee_asset} ({rate})",
            f"{plain(planned.received)} {leg.received}",
            ", ".join(lefts) or "nothing",
            f"{near(size.losses.total)} {start}",
        )


_SIZE_KEYS = (
    "amount", "limit_price", "levels", "shown", "arrived", "given", "received", "fee", "step_left",
    "limit_left", "lost_to_fee", "lost_to_depth", "lost_to_step", "lost_to_limit",
)  # fmt: skip


def _text(number: Any) -> Any:
    return exact(number) if isinstance(number, Decimal | Fraction) else number


@attrs.frozen
class Explanation:
    """Why a cycle earns what it earns, or earns nothing.

    `gross_result` less `losses` is `result`, exactly.

    Attributes:
        subject: what was explained: ``cycle``, ``opportunity`` or ``plan``.
        prices: where the legs' prices are from, in words.
        cycle: at those prices, begun in its start asset.
        legs: one a leg; with their sizes, or all without.
        refused: why it cannot be traded, as far as that was asked; None where nothing refused it.
        binding: what keeps its size from being larger, or, where no size is explained, the tightest bound on it; None
            where nothing that is known here does, as where a sizer chose less.
        floor: the least that all its markets take.
        gap: how much more another size within the same bounds could earn at most, in the start asset; 0 where this one
            is proved the best, None where nobody looked for it.
        words: what each risk policy says of it; empty where none was asked.
    """

    subject: str
    prices: str
    cycle: Cycle
    legs: tuple[LegExplanation, ...]
    refused: Refused | None = None
    binding: Constraint | None = None
    floor: Constraint | None = None
    gap: Decimal | None = None
    words: tuple[Word, ...] = ()

    @property
    def sizes(self) -> tuple[LegSize, ...]:
        """The legs' sizes; empty where none is explained."""
        return tuple(leg.size for leg in self.legs if leg.size is not None)

    @property
    def amount(self) -> Decimal | None:
        """What leg 1 spends, in the start asset."""
        return self.sizes[0].planned.given if self.sizes else None

    @property
    def result(self) -> Decimal | None:
        """What the last leg brings minus what leg 1 spends; what is left over on the way counts nothing."""
        if not self.sizes:
            return None
        with arithmetic():
            return self.sizes[-1].planned.received - self.sizes[0].planned.given

    @property
    def gross_result(self) -> Fraction | None:
        """What the same amount would earn at the legs' prices, without fees and without rounding; exact."""
        return None if self.amount is None else Fraction(self.amount) * (self.cycle.gross_ratio - 1)

    @property
    def losses(self) -> Losses:
        """Those of all legs."""
        return sum((size.losses for size in self.sizes), Losses())

    @property
    def break_even_fee_bps(self) -> Decimal:
        """The fee a leg, from the received asset, at which it earns nothing at the legs' prices; to four decimals."""
        return break_even_fee_bps(self.cycle)

    def to_dict(self) -> dict[str, Any]:
        """As a record; every number is text that ``fractions.Fraction`` reads back exactly."""
        losses = self.losses
        return {
            "subject": self.subject,
            "prices": self.prices,
            "cycle": self.cycle.id,
            "start": self.cycle.start,
            "gross_rate": exact(self.cycle.gross_ratio),
            "net_rate": exact(self.cycle.net_ratio),
            "break_even_fee_bps": exact(self.break_even_fee_bps),
            "amount": _text(self.amount),
            "gross_result": _text(self.gross_result),
            "lost_to_fee": exact(losses.fee) if self.sizes else None,
            "lost_to_depth": exact(losses.depth) if self.sizes else None,
            "lost_to_step": exact(losses.step) if self.sizes else None,
            "lost_to_limit": exact(losses.limit) if self.sizes else None,
            "result": _text(self.result),
            "refused": self.refused.code if self.refused else None,
            "reason": self.refused.sentence if self.refused else None,
            "binding": self.binding.to_dict() if self.binding else None,
            "floor": self.floor.to_dict() if self.floor else None,
            "gap": _text(self.gap),
            "policies": [word.to_dict() for word in self.words],
            "legs": [leg.to_dict(number) for number, leg in enumerate(self.legs, 1)],
        }

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a leg, and a last one, whose ``leg`` is ``"all"``, for the whole."""
        whole = self.to_dict()
        return [*whole.pop("legs"), {"leg": "all", **whole}]

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text a leg under `HEADINGS`, and a last one of what was lost to what, where a size is explained."""
        start = self.cycle.start
        rows = [leg.row(number, start) for number, leg in enumerate(self.legs, 1)]
        if self.amount is not None and self.result is not None:
            losses = self.losses
            rows.append(
                (
                    "all",
                    f"spends {plain(self.amount)} {start}",
                    "",
                    f"costs {near(losses.depth)} {start}",
                    f"costs {near(losses.fee)} {start}",
                    f"{plain(self.sizes[-1].planned.received)} {start}",
                    f"costs {near(losses.step + losses.limit)} {start}",
                    f"{near(losses.total)} {start}",
                )
            )
        return rows

    def headline(self) -> str:
        """The cycle and its rates, in one sentence."""
        cycle = self.cycle
        path = " > ".join((*(leg.given for leg in cycle.legs), cycle.start))
        return (
            f"{path} at {self.prices}: {cycle.gross_rate:.9f} before fees, {cycle.net_rate:.9f} after "
            f"({cycle.edge_bps:+.4f} bps); it breaks even at a fee of {self.break_even_fee_bps} bps a leg"
        )

    def notes(self) -> list[str]:
        """What came of it, what bounds it, and what each policy says: a line each."""
        start, losses = self.cycle.start, self.losses
        lines = []
        if self.amount is not None and self.gross_result is not None and self.result is not None:
            lines.append(
                f"{plain(self.amount)} {start} would earn {near(self.gross_result)}; fees cost "
                f"{near(losses.fee)}, depth {near(losses.depth)}, whole steps {near(losses.step)}, limits "
                f"{near(losses.limit)}: it earns {plain(self.result)} {start}"
            )
        if self.refused is not None:
            lines.append(f"refused, {self.refused}")
        if self.binding is not None:
            lines.append(f"bound by {self.binding.in_words(start)}")
        if self.gap:
            lines.append(f"another size could earn at most {plain(self.gap)} {start} more")
        elif self.gap is not None:
            lines.append("no other size within the same bounds earns more")
        if self.floor is not None:
            lines.append(f"at least {self.floor.in_words(start)}")
        return [*lines, *map(str, self.words)]

    def __str__(self) -> str:
        rows = [HEADINGS, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([self.headline(), *table, *self.notes()])
