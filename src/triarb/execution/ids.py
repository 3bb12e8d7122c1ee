"""Client ids: pure functions of (epoch, execution number, leg, attempt), so that a replay sends the same ones."""

import re
import secrets
from typing import Final

from triarb.exceptions import UsageError

PREFIX: Final = "tri"
MAX_LENGTH: Final = 32
"""The shortest limit among the large exchanges (OKX's; Binance takes 36); only letters and digits pass everywhere."""

_EPOCH = re.compile(r"[0-9a-z]{4,12}")


def new_epoch() -> str:
    """A fresh random epoch: eight hexadecimal digits."""
    return secrets.token_hex(4)


def check_epoch(epoch: str) -> str:
    """`epoch`, if ids can be made of it.

    Raises:
        UsageError: not 4 to 12 small letters and digits.
    """
    if _EPOCH.fullmatch(epoch) is None:
        raise UsageError(f"the epoch is {epoch!r}", hint="use 4 to 12 small letters and digits")
    return epoch


def client_id(epoch: str, number: int, leg: int, attempt: int = 0) -> str:
    """The id of one order, such as ``tri3f9a01c2n17l2a0``."""
    return f"{PREFIX}{epoch}n{number}l{leg}a{attempt}"
