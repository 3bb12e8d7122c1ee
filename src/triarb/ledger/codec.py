"""Events to JSON text and back: exact, strict, and never written unless it reads back the same.

Decimals and enumerations are strings, everything else is what it is in JSON. `kind` is the name of the event's class.
"""

import enum
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from triarb.exceptions import LedgerError
from triarb.model import LedgerEvent, Refused

KINDS: dict[str, type[LedgerEvent]] = {kind.__name__: kind for kind in get_args(LedgerEvent)}


def encode(event: LedgerEvent) -> str:
    """`event` as one JSON object.

    Raises:
        LedgerError: it has a value that is not of its type, not finite, or not text, number or Decimal where only
            these may be, so that it would not read back as it is.
    """
    kind = type(event).__name__
    try:
        body = {"kind": kind, **_converter.unstructure(event)}
        text = json.dumps(body, separators=(",", ":"), allow_nan=False)
        same = decode(text) == event
    except (TypeError, ValueError, AttributeError, LedgerError) as error:
        raise LedgerError(f"{kind} cannot be written: {error}", code="ledger.event") from error
    if not same:
        raise LedgerError(f"{kind} would not read back as it is: {event}", code="ledger.event")
    return text


def decode(text: str) -> LedgerEvent:
    """The event that `encode` made `text` of.

    Raises:
        LedgerError: an unknown kind, or text that is no such event.
    """
    try:
        body = json.loads(text)
        kind = body.pop("kind")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise LedgerError(f"{text[:80]!r} is no event", code="ledger.corrupt") from None
    if not isinstance(kind, str) or kind not in KINDS:
        raise LedgerError(
            f"{kind!r} is no event that this triarb knows",
            code="ledger.unknown_kind",
            hint="read it with the newer triarb that wrote it",
        )
    try:
        return _converter.structure(body, KINDS[kind])
    except cattrs.ClassValidationError as error:
        wrong = "; ".join(cattrs.transform_error(error))
        raise LedgerError(f"a {kind} that makes no sense: {wrong}", code="ledger.corrupt") from None


def _decimal(value: Any, _: Any = None) -> Decimal:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not the text of a number")  # noqa: TRY004
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is not finite")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, Decimal):  # a float such as 0.5 would even read back as its equal
        raise TypeError(f"{value!r} is not a Decimal")
    return str(value)


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is not {kind.__name__}")
    return value


def _numbers_out(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"decimal": str(value)} if isinstance(value, Decimal) else value
        for name, value in numbers.items()
    }


def _numbers_in(numbers: Any, _: Any) -> dict[str, Any]:
    return {
        name: _decimal(value["decimal"]) if isinstance(value, dict) else value
        for name, value in numbers.items()
    }


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(enum.StrEnum, lambda value, kind: kind(value))
    converter.register_structure_hook(Decimal, _decimal)
    converter.register_unstructure_hook(Decimal, _text)
    converter.register_unstructure_hook(
        Refused,
        make_dict_unstructure_fn(Refused, converter, numbers=override(unstruct_hook=_numbers_out)),
    )
    converter.register_structure_hook(
        Refused,
        make_dict_structure_fn(
            Refused,
            converter,
            _cattrs_forbid_extra_keys=True,
            numbers=override(struct_hook=_numbers_in),
        ),
    )
    return converter


_converter = _make_converter()
