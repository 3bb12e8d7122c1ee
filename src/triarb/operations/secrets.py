"""Secrets: keys that never show, from where they are safely kept.

A key is told itself, in the environment or in a file that is its owner's alone, or by the address of where it is:

    file:///run/keys/binance          a file that is its owner's alone
    keyring://triarb/binance          the system's keyring: service, user name
    aws://prod/binance#api_key        AWS Secrets Manager: name or ARN, and the key in its JSON
    vault://secret/binance#api_key    HashiCorp Vault: mount, path, and the key in it

Addresses are followed when a key is needed, never for paper trading.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final, NoReturn

from typed_settings.types import Secret as MaskedSecret

from triarb.exceptions import SecretError

_ADDRESS = re.compile(r"(file|keyring|aws|vault)://(\S+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLACEHOLDER = re.compile(
    r"your[ _-].*|<.*>|\$?\{.*\}|[x*.]{3,}|change[ _-]?me.*|(replace|insert|enter|put|paste)[ _-].*"
    r"|api[ _-]?key|secret([ _-]?key)?|pass(phrase|word)|placeholder|todo|none|null|",
    re.IGNORECASE,
)
_LARGEST: Final = 65_536


class Secret(MaskedSecret[str]):
    """A text that does not show: neither printed, nor logged, nor in a traceback, and neither pickled nor copied.

    >>> Secret("hunter2")
    Secret('*******')
    """

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")

    @property
    def is_placeholder(self) -> bool:
        """Whether it only says what should stand in its place, such as ``your_api_key_here``."""
        return _PLACEHOLDER.fullmatch(self.get_secret_value().strip()) is not None

    @property
    def is_lost_address(self) -> bool:
        """Whether it begins as an address does, and is none: a misspelt scheme, or spaces in a path."""
        text = self.get_secret_value().strip()
        return _SCHEME.match(text) is not None and _ADDRESS.fullmatch(text) is None

    @property
    def address(self) -> str | None:
        """Where the secret is, if this is an address and so no secret itself."""
        text = self.get_secret_value().strip()
        return text if _ADDRESS.fullmatch(text) else None


def reveal(told: Secret, *, within: Path | None = None) -> Secret:
    """The secret that was told: itself, or what is at its address.

    Args:
        told: a key, or the address of one.
        within: the file that told it, if one did; a key itself may stand only in one that is its owner's alone.

    Raises:
        SecretError: `secret.missing`, `secret.unreadable`, `secret.permissions`, `secret.address`, `secret.field`,
            `secret.extra`, `secret.unavailable`, or `secret.empty`.
    """
    address = told.address
    if address is None:
        if within is not None:
            read_private(within)
        return _whole(told)
    scheme, place = address.split("://", 1)
    if scheme == "file":
        found = read_private(Path(place).expanduser())
    else:
        from triarb.operations.stores import fetch  # noqa: PLC0415 - needed by few

        found = fetch(scheme, place)
    whole = _whole(found)
    if not whole:
        hint = "put the key there, or name another place"
        raise SecretError(f"{address} holds nothing", code="secret.empty", hint=hint)
    return whole


def read_private(path: Path) -> Secret:
    """What is in a file that only its owner, who is this user or root, may read or write.

    Raises:
        SecretError: `secret.missing`, `secret.unreadable`, or `secret.permissions`.
    """
    why, mode, owner, content = "", 0, 0, Secret("")
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode, owner = status.st_mode, status.st_uid
            content = Secret(file.read(_LARGEST).decode())
    except FileNotFoundError:
        raise SecretError(
            f"there is no file {path}", code="secret.missing", hint="name one that exists"
        ) from None
    except UnicodeDecodeError:  # it holds what it could not decode
        why = "it is no text"
    except OSError as error:
        why = error.strerror or type(error).__name__
    if why or not stat.S_ISREG(mode):
        raise SecretError(
            f"{path} cannot be read: {why or 'it is no ordinary file'}",
            code="secret.unreadable",
            hint="name a file that you may read",
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO) or owner not in (os.geteuid(), 0):
        raise SecretError(
            f"{path} holds a key, and others may use it (mode {stat.S_IMODE(mode):04o})",
            code="secret.permissions",
            hint=f"make it yours alone: chmod 600 {path}",
        )
    return content


def _whole(found: Secret) -> Secret:
    """Without the line end that a file has; a key of several lines that was told in one is put right."""
    text = found.get_secret_value().strip()
    if text.startswith("-----BEGIN") and "\n" not in text:
        text = text.replace("\\n", "\n")
    return Secret(text)
