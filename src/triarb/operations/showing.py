"""What a configuration says, for people and for programs: every value, where it comes from, and no key."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from triarb.exceptions import SecretError
from triarb.money import Money, plain
from triarb.operations.config import TradingConfig
from triarb.operations.secrets import Secret, read_private
from triarb.operations.settings import SETTINGS

HEADINGS: Final = ("setting", "value", "from")
MASK: Final = "***"


def rows(config: TradingConfig) -> list[tuple[str, str, str]]:
    """Every setting: its name, its value, and where that comes from."""
    return [
        (name, _told(name, getattr(config, name)), str(config.origins.get(name, "code")))
        for name in SETTINGS
    ]


def _told(name: str, value: Any) -> str:
    """A value for people, where a list without an item is not the same as none."""
    return "nobody's" if name == "foreign_prefixes" and value == () else shown(value)


def record(config: TradingConfig, mode: str, notes: Sequence[str]) -> dict[str, Any]:
    """The same as JSON's objects, and the mode that it leads to."""
    settings = {name: {"value": value, "from": origin} for name, value, origin in rows(config)}
    return {
        "settings": settings,
        "mode": mode,
        "notes": list(notes),
        "ignored": list(config.ignored),
    }


def exposed(config: TradingConfig) -> list[str]:
    """The files that hold a key itself and that others may read, each with what to do about it."""
    files = {
        config.origins[name].file: None
        for name, setting in SETTINGS.items()
        if setting.is_secret and (told := getattr(config, name)) is not None and not told.address
    }
    found = []
    for file in files:
        if file is not None:
            try:
                read_private(file)
            except SecretError as error:
                found.append(str(error))
    return found


def not_read(config: TradingConfig) -> str:
    """The variables that look like triarb's and are not, in a line."""
    return f"not read, though it looks like ours: {', '.join(config.ignored)}"


def shown(value: Any) -> str:
    """A value for people."""
    match value:
        case Secret():
            return value.address or MASK
        case None | ():
            return "-"
        case bool():
            return str(value).lower()
        case Decimal():
            return plain(value)
        case tuple():
            return ", ".join(shown(item) for item in value)
        case Money():
            return str(value)
    return str(value)
