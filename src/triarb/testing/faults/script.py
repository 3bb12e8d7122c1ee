"""FaultScript: which requests go wrong, and how; as data that prints, compares and is kept as JSON."""

import enum
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Self, get_args

import attrs
import cattrs
from cattrs.strategies import configure_tagged_union

from triarb.exceptions import UsageError
from triarb.testing.faults.kinds import Duplicate, Fault, Lag, Partial, Printed


class Endpoint(enum.StrEnum):
    """What a request asks for."""

    ANY = "any"
    SUBMIT = "submit"
    LOOK_UP = "look_up"
    CANCEL = "cancel"
    OPEN_ORDERS = "open_orders"
    ORDERS = "orders"
    TRADES = "trades"
    BALANCES = "balances"
    FEES = "fees"
    BOOK = "book"
    QUOTES = "quotes"
    MARKETS = "markets"
    TIME = "time"
    OTHER = "other"


_ONLY_FOR: dict[type, set[Endpoint]] = {
    Partial: {Endpoint.SUBMIT},
    Duplicate: {Endpoint.SUBMIT, Endpoint.TRADES},
    Lag: {
        Endpoint.LOOK_UP,
        Endpoint.OPEN_ORDERS,
        Endpoint.ORDERS,
        Endpoint.TRADES,
        Endpoint.BALANCES,
    },
}


@attrs.frozen(repr=False)
class FaultRule(Printed):
    """One thing that goes wrong.

    A client may send a GET or a DELETE again on its own when its connection is reset (aiohttp does), so that on the wire a
    read fails for good only after two drops.

    Attributes:
        on: which requests it is about.
        fault: what goes wrong with them, such as ``DropAfter()``.
        nth: from which of them on, counted from 1.
        times: for how many of them; None is for ever.
        client_id: only orders whose id is like that; ``*`` stands for anything, as in ``*l2a0`` for triarb's second legs.
        symbol: only the markets whose symbol is like that.
        chance: how likely it is for each of them, decided by the script's seed.

    Raises:
        UsageError: a fault that such requests cannot have, or numbers that make no sense.
    """

    on: Endpoint = attrs.field(converter=Endpoint)
    fault: Fault
    nth: int = 1
    times: int | None = 1
    client_id: str = "*"
    symbol: str = "*"
    chance: float = 1.0

    def __attrs_post_init__(self) -> None:
        allowed = endpoints_of(self.fault)
        if self.on not in allowed:
            raise UsageError(
                f"{type(self.fault).__name__} cannot happen to {str(self.on)!r}",
                hint=f"it can to {', '.join(allowed)}",
            )
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise UsageError(f"nth is {self.nth} and times {self.times}", hint="both count from 1")
        if not 0 < self.chance <= 1:
            raise UsageError(f"a chance of {self.chance}", hint="give one above 0 and at most 1")

    def covers(self, count: int) -> bool:
        """Whether it is about the `count`-th of its requests."""
        return self.nth <= count and (self.times is None or count < self.nth + self.times)


def _rules(rules: Iterable[FaultRule]) -> tuple[FaultRule, ...]:
    return tuple(rules)


@attrs.frozen(repr=False)
class FaultScript(Printed):
    """All that goes wrong, in one run against a loopback exchange or a `FaultyGateway`.

    Every rule counts its own requests. Where several are about one request, all of them happen. The same script and the
    same requests give the same faults.

    >>> script = FaultScript([FaultRule("submit", Partial("0.5"), nth=2)])
    >>> script
    FaultScript(rules=(FaultRule(on='submit', fault=Partial(fraction='0.5'), nth=2),))
    >>> script.to_json()
    '{"rules": [{"on": "submit", "fault": {"fraction": "0.5", "kind": "partial"}, "nth": 2}]}'
    >>> FaultScript.from_json(script.to_json()) == script
    True

    Attributes:
        rules: what goes wrong.
        seed: decides the chances.
    """

    rules: tuple[FaultRule, ...] = attrs.field(default=(), converter=_rules)
    seed: int = 0

    def to_json(self) -> str:
        """Itself as one JSON object; what is as it is by default is left out."""
        return json.dumps(_converter.unstructure(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The script that `to_json` made `text` of, or that somebody wrote like that.

        Raises:
            UsageError: it is none; names what is wrong.
        """
        try:
            return _converter.structure(json.loads(text), cls)
        except cattrs.BaseValidationError as error:
            wrong = "; ".join(cattrs.transform_error(error, format_exception=_in_words))
        except (ValueError, AttributeError) as error:
            wrong = str(error)
        raise UsageError(f"this is no fault script: {wrong}", hint="FaultScript.to_json writes one")


def endpoints_of(fault: Fault) -> tuple[Endpoint, ...]:
    """The requests that can have such a fault."""
    allowed = _ONLY_FOR.get(type(fault), set(Endpoint))
    return tuple(on for on in Endpoint if on in allowed)


def kind_of(fault: Fault | type[Fault]) -> str:
    """The kind of a fault as JSON names it: ``drop_after``."""
    name = fault.__name__ if isinstance(fault, type) else type(fault).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _in_words(error: BaseException, kind: type | None) -> str:
    return str(error) if isinstance(error, ValueError) else cattrs.v.format_exception(error, kind)


def _number_in(value: Any, _: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not the text of a number")  # noqa: TRY004
    return value  # the fault's own converter reads it


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{value!r} is not {kind.__name__}")
    return value


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, omit_if_default=True)
    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(enum.StrEnum, lambda value, kind: kind(value))
    converter.register_structure_hook(Decimal, _number_in)
    converter.register_unstructure_hook(Decimal, str)
    configure_tagged_union(Fault, converter, kind_of, "kind")
    return converter


_converter = _make_converter()
FAULTS: tuple[type[Fault], ...] = get_args(Fault)
"""Every kind of fault."""
