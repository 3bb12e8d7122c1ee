"""What a person may write for a setting: read exactly, or refused with what to write instead.

A reader takes what was told, either a text (of the environment, of `.env`, of the command line) or what TOML made of
it, and gives the value, or raises a `UsageError` whose message says what it is and whose hint what to write.
"""

# ruff: noqa: FBT001, FBT003 - every reader is told whether a file with types told the value

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs

from triarb.exceptions import UsageError
from triarb.money import Money, Proxy, plain
from triarb.operations.numbers import ANY_NUMBER, Reader, number
from triarb.operations.secrets import Secret
from triarb.risk.policies.pace import TradingHours

_ASSET = re.compile(r"[A-Za-z0-9.$_-]+")
_AMOUNT = re.compile(r"(\S+)[ \t]+(\S+)")
_GLUED = re.compile(r"([$€£]?)([\d.]+)([A-Za-z][A-Za-z0-9]*)?")
_YES, _NO = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
_MOST_MONEY: Final = Decimal(10) ** 12


@attrs.frozen
class Amount:
    """An amount of money, whose currency may not have been told."""

    amount: Decimal
    currency: str | None

    def in_(self, asset: str) -> Money:
        """The money it is, where an amount without a currency means `asset`."""
        return Money(self.amount, self.currency or asset)


def text(value: Any, _typed: bool, /) -> str:
    """A word.

    Raises:
        UsageError: not a text, or with spaces in it.
    """
    if not isinstance(value, str) or not value.strip() or re.search(r"\s", value.strip()):
        raise UsageError("it is not one word", code="config.type", hint="write one word in quotes")
    return value.strip()


def secret(value: Any, _typed: bool, /) -> Secret | None:
    """A key, or the address of one; None for a placeholder.

    Raises:
        UsageError: not a text.
    """
    if not isinstance(value, Secret):
        raise UsageError("it is not a text", code="config.type", hint="write it in quotes")
    return None if value.is_placeholder else value


def key(value: Any, typed: bool, /) -> Secret | None:
    """The same of what can be no address of a web server: one that nothing can follow is no key either.

    Raises:
        UsageError: not a text, or such an address.
    """
    told = secret(value, typed)
    if told is not None and told.is_lost_address:
        raise UsageError(
            "it is neither a key nor an address that triarb can follow",
            code="config.address",
            hint="an address has no spaces and begins with file://, keyring://, aws:// or vault://",
        )
    return told


SECRETS: Final = (secret, key)
"""The readers of what never shows."""


def asset(value: Any, typed: bool, /) -> str:
    """The name of an asset.

    Raises:
        UsageError: not a name, or one in small letters.
    """
    name = text(value, typed)
    if not _ASSET.fullmatch(name):
        raise UsageError(
            "it is no name of an asset", code="config.type", hint='write one such as "USDT"'
        )
    if name.islower():
        why, mend = "assets are told apart by case", f"did you mean {name.upper()}?"
        raise UsageError(why, code="config.type", hint=mend)
    return name


def account_name(value: Any, typed: bool, /) -> str:
    """A name of an account, which can be part of a file's.

    Raises:
        UsageError: other characters than letters, digits, ``_`` and ``-``.
    """
    name = text(value, typed)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise UsageError(
            "it is no name of an account", code="config.type", hint="use letters, digits, _ and -"
        )
    return name


def boolean(value: Any, typed: bool, /) -> bool:
    """Yes or no; what is neither is not taken for one of them.

    Raises:
        UsageError: neither.
    """
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) and not typed else ""
    if word not in _YES | _NO:
        raise UsageError(
            "it is neither true nor false", code="config.type", hint="write true or false"
        )
    return word in _YES


def one_of(*words: str) -> Reader:
    """The reader of one of these words."""

    def read(value: Any, _typed: bool, /) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in words:
            choice = f"{', '.join(words[:-1])} or {words[-1]}"
            raise UsageError(
                f"it is none of {', '.join(words)}", code="config.type", hint=f"write {choice}"
            )
        return word

    return read


def names(value: Any, typed: bool, /) -> tuple[str, ...]:
    """Assets and symbols: a list in TOML, else a text with commas or spaces between them.

    Raises:
        UsageError: anything else.
    """
    items = value if isinstance(value, list) else None
    if isinstance(value, str) and not typed:
        items = value.replace(",", " ").split()
    if items is None or not all(isinstance(item, str) and item.strip() for item in items):
        raise UsageError(
            "it is no list of names", code="config.type", hint='write ["BTC", "ETH/BTC"]'
        )
    return tuple(item.strip() for item in items)


def scope(value: Any, typed: bool, /) -> tuple[str, ...]:
    """Assets and symbols that a limit is about: a name in small letters would be of none of them.

    Raises:
        UsageError: no list of names, or one in small letters.
    """
    told = names(value, typed)
    for name in told:
        if name.islower():
            why, mend = (
                f"{name} is no asset: they are told apart by case",
                f"did you mean {name.upper()}?",
            )
            raise UsageError(why, code="config.type", hint=mend)
    return told


def hours(value: Any, typed: bool, /) -> tuple[str, ...]:
    """Hours of the day: a list in TOML, else a text with commas or spaces between them.

    Raises:
        UsageError: anything else.
    """
    told = names(value, typed)
    if told:
        TradingHours(told)
    return told


def path(value: Any, _typed: bool, /) -> Path:
    """A file's place.

    Raises:
        UsageError: not a text, or the address of a database.
    """
    if isinstance(value, str) and "://" in value:
        raise UsageError("it is an address, not a path", code="config.type", hint="name a file")
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError("it is no path", code="config.type", hint="write a path in quotes")
    return Path(value).expanduser()


def paths(value: Any, typed: bool, /) -> tuple[Path, ...]:
    """Files' places: a list in TOML, else a text with commas between them.

    Raises:
        UsageError: anything else.
    """
    return tuple(path(item, typed) for item in _items(value, typed, ",", '["one.sqlite"]'))


def proxies(value: Any, typed: bool, /) -> tuple[Proxy, ...]:
    """Proxies of currencies: a list in TOML, else a text with ``;`` between them.

    Raises:
        UsageError: anything else.
    """
    hint = 'write "USD = USDT, haircut 1 %"'
    found = []
    for item in _items(value, typed, ";", f"[{hint.removeprefix('write ')}]"):
        try:
            found.append(Proxy.parse(item))
        except UsageError:
            raise UsageError("it declares no proxy", code="config.type", hint=hint) from None
    return tuple(found)


def _items(value: Any, typed: bool, separator: str, example: str) -> list[str]:
    items = value if isinstance(value, list) else None
    if isinstance(value, str) and not typed:
        items = value.split(separator)
    if items is None or not all(isinstance(item, str) and item.strip() for item in items):
        raise UsageError("it is no list of texts", code="config.type", hint=f"write {example}")
    return [item.strip() for item in items]


def money(value: Any, typed: bool, /) -> Amount:
    """An amount above zero: ``"100 USDT"``, or a number, whose currency is then the start asset.

    Raises:
        UsageError: anything else.
    """
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match and match[2].isdecimal():  # 1 000 would be 1 of an asset named 000
        mend = f"write {match[1]}{match[2]}, without a space"
        raise UsageError(f"{match[2]} is no currency", code="config.number", hint=mend)
    currency = asset(match[2], False) if match else None
    try:
        told = number(match[1], False) if match else number(value, typed)
    except UsageError as error:
        raise UsageError(error.message, code=error.code, hint=_money_mend(value, error)) from None
    if told > _MOST_MONEY:
        mend = f"write at most {plain(_MOST_MONEY)}"
        raise UsageError("it is absurd", code="config.range", hint=mend)
    if told <= 0:
        sign = "it is negative" if told < 0 else "it is zero"
        raise UsageError(sign, code="config.range", hint="write an amount above zero")
    return Amount(told, currency)


def _money_mend(value: Any, error: UsageError) -> str:
    glued = _GLUED.fullmatch(value.strip()) if isinstance(value, str) else None
    if glued and glued[3]:  # 100USDT
        return f'write "{glued[2]} {glued[3].upper()}"'
    if glued and glued[1]:  # $100
        return f'write {glued[2]}, or with its currency, such as "{glued[2]} USDT"'
    if error.hint == ANY_NUMBER or (isinstance(value, str) and value.strip().endswith("%")):
        return 'write an amount, such as "100 USDT"'
    return error.hint


def monies(value: Any, typed: bool, /) -> tuple[Amount, ...]:
    """Amounts: a list in TOML, else a text with commas between them. ``USDT=1000`` is ``1000 USDT``.

    Raises:
        UsageError: anything else, or a currency twice.
    """
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str) and not typed:
        items = value.split(",")
    read = tuple(money(_turned(item), typed) for item in items)
    if len({amount.currency for amount in read}) < len(read):
        raise UsageError(
            "it tells one currency twice", code="config.contradiction", hint="tell each once"
        )
    return read


def _turned(item: Any) -> Any:
    if not isinstance(item, str):
        return item
    match item.replace("=", " ").split():
        case [one, other] if not one[:1].isdigit() and other[:1].isdigit():
            return f"{other} {one}"
        case parts:
            return " ".join(parts)
