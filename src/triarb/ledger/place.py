"""Where a ledger lives: a SQLite file unless told otherwise, any SQLAlchemy URL if told."""

import os
import re
from pathlib import Path

import attrs
import platformdirs
import sqlalchemy as sa

from triarb.exceptions import UsageError

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def default_path(exchange: str, mode: str, account: str = "main") -> Path:
    """The file of one account on one exchange in one mode (paper, sandbox, live), in the user's data folder.

    Raises:
        UsageError: a part that is empty or has other characters than ASCII letters, digits, ``_`` and ``-``.
    """
    for part in (exchange, mode, account):
        if not _NAME.fullmatch(part):
            raise UsageError(
                f"{part!r} cannot be part of a ledger's name",
                code="ledger.name",
                hint="use letters, digits, _ and - only",
            )
    name = f"{exchange}-{mode}-{account}.sqlite"
    return platformdirs.user_data_path("triarb") / "ledgers" / name


def real(path: Path) -> Path:
    """Where a file really is; links that go in circles stay."""
    return Path(os.path.realpath(path))


def beside(ledger: Path, suffix: str) -> Path:
    """The file that stands beside a ledger, named as it is with a suffix; beside the file itself where it is linked to."""
    file = real(ledger) if os.path.islink(ledger) else ledger  # noqa: PTH114 - it never raises
    return file.with_name(f"{file.name}{suffix}")


@attrs.frozen
class Place:
    """One ledger's address.

    Attributes:
        url: as SQLAlchemy takes it; a SQLite file's is absolute, its symbolic links resolved.
        path: the file; None in memory and on a server.
    """

    url: sa.URL
    path: Path | None

    @classmethod
    def parse(cls, place: str | os.PathLike[str]) -> "Place":
        """The address that a path or a URL (whatever has ``://`` in it) names.

        Raises:
            UsageError: no URL that SQLAlchemy can read, or a SQLite URI file name.
        """
        try:
            text = os.fspath(place)
        except TypeError:
            text = ""
        if not text or not isinstance(text, str):
            raise UsageError(
                f"the ledger's address is {place!r}, and what it holds would be lost with its process",
                code="ledger.url",
                hint='give its path; or "sqlite://" for one in memory',
            )
        if "://" in text:
            try:
                url = sa.make_url(text)
            except (sa.exc.ArgumentError, ValueError):  # its message may hold the password
                raise UsageError(
                    "the ledger's address is no SQLAlchemy URL",
                    code="ledger.url",
                    hint="such as sqlite:////folder/ledger.sqlite; or give a path",
                ) from None
        else:
            url = sa.URL.create("sqlite", database=text)
        if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
            return cls(url, None)
        name = str(url.database)
        if name.startswith("file:"):
            raise UsageError(
                f"{name!r} is a SQLite URI, not a file name",
                code="ledger.url",
                hint="give the path, and read_only=True to read only",
            )
        path = real(Path(name).expanduser())
        return cls(url.set(database=str(path)), path)

    def __str__(self) -> str:
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)
