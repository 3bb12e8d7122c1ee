"""check_finder: right finders pass it, and each kind of wrong one is told what is wrong."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from triarb.finders import BoundedCycleFinder, CycleFinder
from triarb.finders.reference import NetworkxCycleFinder
from triarb.market import RateTable
from triarb.model import Cycle, Fee, Provenance
from triarb.testing.finders import check_finder

MakeFinder = Callable[..., CycleFinder]


@pytest.mark.parametrize(
    "make",
    [
        partial(BoundedCycleFinder, compiled=False),
        partial(BoundedCycleFinder, compiled=True),
        NetworkxCycleFinder,
    ],
)
def test_the_conformance_check_passes(make: MakeFinder) -> None:
    """All finders hold to their contract, the compiled search like the plain one."""
    check_finder(make)


class _Wrong(CycleFinder):
    """A finder that spoils what the right one finds, or asks it the wrong thing."""

    def __init__(self, spoil: Callable[[list[Cycle]], list[Cycle]] = list, **question: Any) -> None:
        """Ask `question` of the right finder; `spoil` what it says."""
        self._finder = BoundedCycleFinder(**question)
        self._spoil = spoil

    def find(self, rates: RateTable, /) -> list[Cycle]:
        """What the right one found, spoiled."""
        return self._spoil(list(self._finder.find(rates)))


class _Stale(_Wrong):
    """A finder that remembers its first answer about a table."""

    def __init__(self, **question: Any) -> None:
        """Know nothing yet."""
        super().__init__(**question)
        self._known: dict[int, tuple[RateTable, list[Cycle]]] = {}

    def find(self, rates: RateTable, /) -> list[Cycle]:
        """The answer when the table was first seen."""
        return self._known.setdefault(id(rates), (rates, super().find(rates)))[1]


def _swap_ties(cycles: list[Cycle]) -> list[Cycle]:
    """Ties by asset names rather than by id."""
    return sorted(cycles, key=lambda cycle: (-cycle.net_ratio, cycle.assets))


def _by_float(cycles: list[Cycle]) -> list[Cycle]:
    """Ordered by what a float sees."""
    return sorted(cycles, key=lambda cycle: (-float(cycle.net_ratio), cycle.id))


def _turned(cycles: list[Cycle]) -> list[Cycle]:
    """Begun in their second asset."""
    return [cycle.starting_from(cycle.assets[1]) for cycle in cycles]


def _gross(cycles: list[Cycle]) -> list[Cycle]:
    """The same legs without their fees."""
    free = Fee(Decimal(0), Provenance.OVERRIDE)
    return [
        Cycle(tuple(type(leg)(leg.market, leg.side, leg.price, free) for leg in cycle.legs))
        for cycle in cycles
    ]


WRONG: dict[str, tuple[MakeFinder, str]] = {
    "drops the last": (lambda **q: _Wrong(lambda found: found[:-1], **q), "missing: "),
    "drops the best": (lambda **q: _Wrong(lambda found: found[1:], **q), "missing: "),
    "repeats": (lambda **q: _Wrong(lambda found: found * 2, **q), "found twice: "),
    "turns the order": (
        lambda **q: _Wrong(lambda found: found[::-1], **q),
        "out of order: place 0 has ",
    ),
    "orders ties by assets": (lambda **q: _Wrong(_swap_ties, **q), "out of order: "),
    "orders by float": (lambda **q: _Wrong(_by_float, **q), "a hair's breadth.*out of order: "),
    "begins elsewhere": (lambda **q: _Wrong(_turned, **q), " begins in "),
    "forgets the fee": (lambda **q: _Wrong(_gross, **q), "other legs than the rates"),
    "forgets the start": (lambda **q: _Wrong(**(q | {"start": ()})), "not asked for: "),
    "takes one start": (lambda **q: _Wrong(**(q | {"start": q["start"][:1]})), "missing: "),
    "takes two legs": (lambda **q: _Wrong(**(q | {"min_legs": 2})), "not asked for: "),
    "stops at four legs": (
        lambda **q: _Wrong(**(q | {"max_legs": min(4, q["max_legs"])})),
        "missing: ",
    ),
    "never asks below zero": (
        lambda **q: _Wrong(**(q | {"min_edge_bps": max(q["min_edge_bps"], Decimal(0))})),
        "missing: ",
    ),
    "decides loosely": (
        lambda **q: _Wrong(**(q | {"min_edge_bps": q["min_edge_bps"] - Decimal("1E-9")})),
        "not asked for: ",
    ),
    "decides tightly": (
        lambda **q: _Wrong(**(q | {"min_edge_bps": q["min_edge_bps"] + Decimal("1E-15")})),
        "a hair's breadth.*missing: ",
    ),
    "remembers": (_Stale, "after updates: "),
}


@pytest.mark.parametrize(("make", "said"), WRONG.values(), ids=WRONG)
def test_the_conformance_check_catches_wrong_finders(make: MakeFinder, said: str) -> None:
    """Finders that drop, add, repeat, reorder, turn, misprice, misread a question or remember fail, and are told why."""
    with pytest.raises(AssertionError, match=said):
        check_finder(make)
