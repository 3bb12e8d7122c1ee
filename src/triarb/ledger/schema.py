"""Which schema a database has, and how it comes to the newest: made as it is today, or migrated after a backup."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from triarb.ledger.failures import RESTORE, cannot_open
from triarb.ledger.place import Place
from triarb.ledger.tables import alembic_version, metadata

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def revisions() -> list[str]:
    """The schemas that this triarb knows, the newest last: how the migrations' files are numbered."""
    return sorted(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def bring_to_head(engine: sa.Engine, place: Place, *, read_only: bool) -> None:
    """See that the database is a ledger of the newest schema, by making or upgrading it unless it is only read.

    Raises:
        LedgerError: it is damaged, another program's, of a newer triarb, or only read and not of the newest schema.
    """
    known, version = revisions(), None
    with engine.connect() as connection:
        if place.path:
            _check_pages(connection, place)
        tables = sa.inspect(connection).get_table_names()
        if alembic_version.name in tables:
            version = connection.scalar(sa.select(alembic_version.c.version_num))
        elif tables:
            raise cannot_open(
                place,
                "it is another program's database",
                code="ledger.foreign",
                hint="choose another file",
            )
    if version == known[-1]:
        return
    if version is not None and version not in known:
        raise cannot_open(
            place,
            f"its schema is {version}, this triarb knows up to {known[-1]}",
            code="ledger.newer",
            hint="install the newer triarb that wrote it",
        )
    if read_only:
        raise cannot_open(
            place,
            f"its schema is {version or 'empty'}, this triarb reads {known[-1]}",
            code="ledger.older",
            hint="open it for writing once, which upgrades it",
        )
    if tables and place.path:
        _back_up(engine, place.path, version)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # else each CREATE commits by itself
        if tables:
            _migrate(connection)
        else:  # what the migrations would make, without loading alembic
            metadata.create_all(connection)
            connection.execute(alembic_version.insert().values(version_num=known[-1]))


def _check_pages(connection: sa.Connection, place: Place) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise cannot_open(place, f"it is damaged: {found}", code="ledger.corrupt", hint=RESTORE)


def _back_up(engine: sa.Engine, path: Path, version: str | None) -> None:
    """Copy the file to ``<file>.<schema>-<n>.backup``, the first n that is free."""
    number = 1
    while (copy := path.with_name(f"{path.name}.{version or 'empty'}-{number}.backup")).exists():
        number += 1
    with contextlib.closing(sqlite3.connect(copy)) as target, engine.connect() as connection:
        connection.connection.driver_connection.backup(target)  # type: ignore[union-attr]


def _migrate(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 400 ms that only an upgrade should cost
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
