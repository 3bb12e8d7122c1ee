"""Setting: how one setting is told, and what an editor should know of it."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from triarb.operations import numbers, values
from triarb.operations.numbers import Reader

TEXT: Final = {"type": "string"}
NAMES: Final = {"type": "array", "items": TEXT}
BOOLEAN: Final = {"type": "boolean"}
MONEY: Final = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9.]+\s+[A-Za-z0-9.$_-]+\s*$"},
    ]
}
MONIES: Final = {"anyOf": [MONEY, {"type": "array", "items": MONEY, "minItems": 1}]}


@attrs.frozen
class Setting:
    """How a setting is told.

    Attributes:
        group: the heading that it stands under in a file.
        about: what it means.
        read: reads what is told under its own name.
        schema: what an editor should know of it, as JSON Schema.
        example: how TOML tells it; empty where TOML should not.
        guide: its name in the live trading guide.
        read_guide: reads what is told under that name, where its unit is another.
    """

    group: str
    about: str
    read: Reader
    schema: Mapping[str, Any]
    example: str
    guide: str = ""
    read_guide: Reader | None = None

    @property
    def is_secret(self) -> bool:
        """Whether what is told never shows."""
        return self.read in values.SECRETS


def within(low: float, high: float, kind: str = "number") -> dict[str, Any]:
    """The schema of a number in a range."""
    return {"type": kind, "minimum": low, "maximum": high}


def whole(group: str, about: str, bounds: tuple[int, int], unit: str, example: int) -> Setting:
    """A setting that is a whole number of `unit`."""
    low, high = bounds
    read = numbers.between(str(low), str(high), unit, whole=True)
    return Setting(group, about, read, within(low, high, "integer"), str(example))


def amount(group: str, about: str, example: str) -> Setting:
    """A setting that is an amount of money."""
    return Setting(group, about, values.money, MONEY, f'"{example}"')
