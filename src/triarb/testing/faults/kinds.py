"""What can go wrong with a request to an exchange, as data."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import UsageError
from triarb.model import FeeSide
from triarb.money import ZERO, parse_decimal


class Printed:
    """Data that prints as the code that makes it, without what is as it is by default."""

    __slots__ = ()

    def __repr__(self) -> str:
        told = []
        for field in attrs.fields(type(self)):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is attrs.NOTHING or value != field.default:
                text = isinstance(value, str | Decimal)
                told.append(f"{field.name}={str(value)!r}" if text else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(told)})"


def _no_less_than_zero(_self: object, field: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 <= value < float("inf"):
        raise UsageError(f"{field.name} is {value}", hint="give a number that is not below zero")


def _number(value: str | int | Decimal) -> Decimal:
    try:
        return parse_decimal(value)
    except ValueError as error:
        raise UsageError(f"a number of a fault: {error}", hint='write it as text, "0.5"') from None


def _number_or_none(value: str | int | Decimal | None) -> Decimal | None:
    return None if value is None else _number(value)


# On the wire


@attrs.frozen(repr=False)
class DropBefore(Printed):
    """The connection is reset before the exchange acts."""


@attrs.frozen(repr=False)
class DropAfter(Printed):
    """The exchange acts, then the connection is reset. A client cannot tell this from `DropBefore`."""


@attrs.frozen(repr=False)
class Hang(Printed):
    """No answer ever comes.

    Attributes:
        acts: whether the exchange acts.
    """

    acts: bool = True


@attrs.frozen(repr=False)
class Truncate(Printed):
    """The exchange acts, and its answer breaks off in the middle of its body."""


@attrs.frozen(repr=False)
class Answer(Printed):
    """Another answer than the exchange's own: an error, a page of HTML, nonsense.

    Attributes:
        status: of HTTP.
        code: Binance's, such as -2010; None answers `body` instead of an error in Binance's words.
        message: what comes with the code.
        body: what is answered where there is no code.
        retry_after: the seconds of a `Retry-After` header.
        acts: whether the exchange acts all the same, so that its own answer is what is lost.
    """

    status: int = 200
    code: int | None = None
    message: str = ""
    body: str = ""
    retry_after: int | None = None
    acts: bool = False

    @property
    def text(self) -> str:
        """The body that is answered."""
        if self.code is None:
            return self.body
        return json.dumps({"code": self.code, "msg": self.message})


@attrs.frozen(repr=False)
class Ban(Printed):
    """From this request on every request is answered -1003 with a `Retry-After`, until the time has passed.

    Attributes:
        seconds: how long.
        status: 429, "slow down", or 418, "banned".
    """

    seconds: int = attrs.field(validator=_no_less_than_zero)
    status: int = 429


@attrs.frozen(repr=False)
class Late(Printed):
    """The request reaches the exchange this much later; an order that is past its recvWindow by then is refused.

    A client that waits less long has no answer, finds no order, and has one after all when the time has come.
    """

    seconds: float = attrs.field(validator=_no_less_than_zero)


# In the answer


@attrs.frozen(repr=False)
class Lag(Printed):
    """The answer tells what was so this much earlier, as a replica that lags does. For reads of the account only."""

    seconds: float = attrs.field(validator=_no_less_than_zero)


@attrs.frozen(repr=False)
class Duplicate(Printed):
    """Each trade in the answer is there twice, the last one first."""


@attrs.frozen(repr=False)
class Alter(Printed):
    """Fields of the answer say something else.

    Attributes:
        fields: by Binance's name of the field, such as ``{"clientOrderId": "another"}`` or ``{"origQty": "2"}``.
    """

    fields: Mapping[str, str]


# At the exchange


@attrs.frozen(repr=False)
class Partial(Printed):
    """The order has at once no more than a part of its amount; an IOC order then expires, a FOK one fills nothing.

    Attributes:
        fraction: of the amount, rounded down to the market's step; zero expires it unfilled.
    """

    fraction: Decimal = attrs.field(default=ZERO, converter=_number)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise UsageError(f"a part of {self.fraction}", hint="give a fraction from 0 to below 1")


@attrs.frozen(repr=False)
class Fees(Printed):
    """Orders are charged otherwise from here on.

    Attributes:
        bps: the rate.
        charged_in: the asset that it is taken in.
        symbol: the market; empty is the request's.
    """

    bps: Decimal = attrs.field(converter=_number)
    charged_in: FeeSide = attrs.field(default=FeeSide.RECEIVED, converter=FeeSide)
    symbol: str = ""


@attrs.frozen(repr=False)
class Filters(Printed):
    """A market has other steps and limits from here on, or is closed.

    Attributes:
        amount_step: and the others: the new ones; None leaves what is.
        active: whether it is open; None leaves what is.
        symbol: the market; empty is the request's.
    """

    amount_step: Decimal | None = attrs.field(default=None, converter=_number_or_none)
    price_tick: Decimal | None = attrs.field(default=None, converter=_number_or_none)
    min_amount: Decimal | None = attrs.field(default=None, converter=_number_or_none)
    min_notional: Decimal | None = attrs.field(default=None, converter=_number_or_none)
    active: bool | None = None
    symbol: str = ""


@attrs.frozen(repr=False)
class Flow(Printed):
    """A deposit, or, if negative, a withdrawal that this bot knows nothing of; it takes no more than what is free."""

    asset: str
    amount: Decimal = attrs.field(converter=_number)


@attrs.frozen(repr=False)
class Skew(Printed):
    """The exchange's clock is this much ahead of what it was from here on, or behind, if negative."""

    seconds: float


Fault = (
    DropBefore
    | DropAfter
    | Hang
    | Truncate
    | Answer
    | Ban
    | Late
    | Lag
    | Duplicate
    | Alter
    | Partial
    | Fees
    | Filters
    | Flow
    | Skew
)
