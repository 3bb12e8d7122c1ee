"""Bans: until when an exchange wants to hear nothing, kept in a file so that a restart does not ask either.

An exchange bans an address, whoever asks from there: the file belongs to the exchange, not to an account or a ledger. It holds
a time, and nothing of a key.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import attrs
import platformdirs

from triarb.clock import iso, parse_iso
from triarb.exceptions import GatewayError

_NS_PER_US: Final = 1000
_log: Final = logging.getLogger("triarb.gateways.ccxt.bans")


def default_ban_file(exchange: str, *, sandbox: bool = False) -> Path:
    """The file in the user's data folder where the commands keep until when an exchange, or its sandbox, banned them."""
    name = f"{exchange}-{'sandbox' if sandbox else 'production'}.txt"
    return platformdirs.user_data_path("triarb") / "bans" / name


@attrs.frozen
class BanFile:
    """A file that holds one time, ISO 8601 in UTC; where it is not there, there was no ban."""

    path: Path

    def until_ns(self) -> int:
        """Until when nothing may be sent; 0 where nothing is kept.

        Raises:
            GatewayError: ``gateway.ban_file``: it cannot be read. Nothing may be sent then, since a ban may be in force.
        """
        try:
            text = self.path.read_text(encoding="ascii").strip()
            until_ns = parse_iso(text)
            if iso(until_ns) == text:  # half a time is another time
                return until_ns
            why = "it is no whole time"
        except FileNotFoundError:
            return 0
        except OSError as error:
            why = error.strerror or type(error).__name__
        except ValueError:
            why = "it is no time"
        raise GatewayError(
            f"{self.path}, which says until when nothing may be sent, cannot be read: {why}",
            code="gateway.ban_file",
            hint="remove it, once you know that the exchange does not ban this address",
        )

    def keep(self, until_ns: int) -> None:
        """Keep it, unless a later time is kept already, and log it.

        Where it cannot be kept, that is logged: the ban holds in this process only.
        """
        until = iso(-(-until_ns // _NS_PER_US) * _NS_PER_US)
        try:
            if self._kept_ns() >= until_ns:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, f"{until}\n")
        except OSError as error:
            why = error.strerror or type(error).__name__
            template = "%s cannot be written: %s; start nothing again before %s"
            _log.error(template, self.path, why, until)
            return
        _log.warning("asked too often: nothing is sent before %s, as %s says", until, self.path)

    def _kept_ns(self) -> int:
        try:
            return self.until_ns()
        except GatewayError:  # what is told now is better than what cannot be read
            return 0


def _replace(path: Path, text: str) -> None:
    """Write `text` so that whoever reads `path`, also after the power failed, finds all of it or what was there before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
