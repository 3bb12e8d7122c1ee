"""Every way in which a database fails, as a LedgerError that names the ledger, what is wrong, and the mend."""

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from triarb.exceptions import LedgerError
from triarb.ledger.place import Place

RESTORE = "restore a backup of it, or move it away to begin a new ledger"
_PLACE = "choose a file in a folder that can be written to"
_DATABASE = "that is the database's own word; check its address, and what you may do there"
_SQLITE = {  # primary result code -> code, what is wrong, mend
    sqlite3.SQLITE_BUSY: (
        "ledger.locked",
        "another program keeps it locked",
        "end that program; to look at it, use read_only=True or a copy",
    ),
    sqlite3.SQLITE_FULL: ("ledger.full", "the disk is full", "free some of its space"),
    sqlite3.SQLITE_CORRUPT: ("ledger.corrupt", "it is damaged", RESTORE),
    sqlite3.SQLITE_NOTADB: ("ledger.corrupt", "it is no SQLite database", RESTORE),
    sqlite3.SQLITE_READONLY: ("ledger.place", "it is write-protected", _PLACE),
    sqlite3.SQLITE_CANTOPEN: ("ledger.place", "it cannot be opened", _PLACE),
    sqlite3.SQLITE_IOERR: ("ledger.disk", "the disk fails", "check the disk before anything else"),
}


def cannot_open(place: Place, wrong: str, *, code: str, hint: str) -> LedgerError:
    """The error of a ledger that cannot be used for a reason that we found ourselves."""
    return LedgerError(f"cannot open the ledger {place}: {wrong}", code=code, hint=hint)


@contextlib.contextmanager
def failures(place: Place, doing: str) -> Iterator[None]:
    """Turn what a database, its driver or the file system raises into a LedgerError."""
    start = f"cannot {doing} the ledger {place}"
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise LedgerError(
            f"{start}: somebody else has continued its journal",
            code="ledger.moved",
            hint="end whatever else writes to it, then open it again",
        ) from error
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        origin = getattr(error, "orig", None) or error
        result = getattr(origin, "sqlite_errorcode", -1) & 0xFF
        code, wrong, hint = _SQLITE.get(result, ("ledger.database", str(origin), _DATABASE))
        raise LedgerError(f"{start}: {wrong}", code=code, hint=hint) from error
    except ImportError as error:
        raise LedgerError(
            f"{start}: {error}", code="ledger.driver", hint="install the driver that its URL names"
        ) from error
    except OSError as error:
        raise LedgerError(
            f"{start}: {error.strerror or error}", code="ledger.place", hint=_PLACE
        ) from error
    except (OverflowError, UnicodeError) as error:
        raise LedgerError(f"{start}: {error}", code="ledger.event") from error
