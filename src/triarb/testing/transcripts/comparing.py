"""How two answers differ in shape: status, error code, fields and their kinds, and the words that tell a state.

Values are not compared, since two exchanges never have the same. Of a list, all entries count together: a field that some
of them have and some lack is "a text or missing". A list that is empty on one side says nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from triarb.testing.transcripts.transcript import Answer, Number

WORDS: Final = frozenset({"status", "side", "type", "timeInForce", "selfTradePreventionMode"})
"""The fields whose words are compared, for a client decides by them."""

KINDS: Final = ("filterType", "rateLimitType")
"""The fields that tell what kind of entry one of a list is: each kind is compared by itself."""

_MISSING: Final = object()


@attrs.frozen
class Difference:
    """A difference, wherever it was seen.

    Attributes:
        endpoint: such as ``GET /api/v3/account``.
        where: such as ``balances[].free``; empty for the whole answer.
        there: what the transcript has.
        here: what the loopback exchange has.
        numbers: those of the requests.
    """

    endpoint: str
    where: str
    there: str
    here: str
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.numbers[:5])) + (", ..." if self.numbers[5:] else "")
        plural = "s" if self.numbers[1:] else ""
        place = f"{self.endpoint} {self.where}".rstrip()
        return f"{place}: {self.there} there, {self.here} here (request{plural} {numbers})"


def differences(endpoint: str, there: Answer, here: Answer) -> Iterator[Difference]:
    """How the loopback exchange's answer differs from a recorded one."""
    if there.status != here.status:
        yield Difference(endpoint, "", f"status {there.status}", f"status {here.status}")
    forms = [", ".join(answer.body or ("nothing",)) for answer in (there, here)]
    if forms[0] != forms[1]:
        yield Difference(endpoint, "", forms[0], forms[1])
    elif "json" in (there.body or {}):
        for where, one, other in _compare([there.told], [here.told], ""):
            yield Difference(endpoint, where, one, other)


def _compare(
    there: Sequence[Any], here: Sequence[Any], where: str
) -> Iterator[tuple[str, str, str]]:
    """Compares all that was found in one place."""
    if not there or not here:
        return
    kinds = (_kinds(there), _kinds(here))
    if kinds[0] != kinds[1]:
        yield where, *kinds
    if where.rpartition(".")[2] in {*WORDS, "code"}:
        words = (_words(there), _words(here))
        if kinds[0] == kinds[1] and words[0] != words[1]:
            yield where, *words
    objects = [[v for v in side if isinstance(v, Mapping)] for side in (there, here)]
    if all(objects):
        for name in dict.fromkeys(name for side in objects for one in side for name in one):
            one, other = ([found.get(name, _MISSING) for found in side] for side in objects)
            yield from _compare(one, other, f"{where}.{name}".lstrip("."))
    lists = [_entries(side) for side in (there, here)]
    if all(lists):
        for kind in dict.fromkeys(kind for side in lists for kind in side):
            one, other = (side.get(kind, [_MISSING]) for side in lists)
            yield from _compare(one, other, f"{where}[{kind}]")


def _kinds(values: Sequence[Any]) -> str:
    return " or ".join(sorted({_kind(value) for value in values}))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "an integer"
        case Number():
            return "a number"
        case str():
            return "a text"
        case Mapping():
            return "an object"
        case list():
            return "a list"
        case _:
            return "missing"


def _words(values: Sequence[Any]) -> str:
    return ", ".join(sorted({str(value) for value in values if isinstance(value, str | int)}))


def _entries(values: Sequence[Any]) -> dict[str, list[Any]]:
    """The entries of all lists among `values`, by kind."""
    found: dict[str, list[Any]] = {}
    for value in values:
        for entry in value if isinstance(value, list) else ():
            kind = ""
            if isinstance(entry, Mapping):
                kind = next((str(entry[name]) for name in KINDS if name in entry), "")
            found.setdefault(kind, []).append(entry)
    return found
