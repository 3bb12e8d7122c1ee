"""Chains the journal: each event gets a digest over itself and the digest of the one before it."""  # noqa: INP001

import sqlalchemy as sa
from alembic import op

from triarb.ledger.storage import BEGINNING, Entry

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, and chain what is there as it stands."""
    op.add_column("journal", sa.Column("digest", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT seq, at_ns, kind, payload FROM journal ORDER BY seq"))
    update = sa.text("UPDATE journal SET digest = :digest WHERE seq = :seq")
    digest = BEGINNING
    for row in rows.all():
        digest = Entry.after(digest, *row).digest
        connection.execute(update, {"digest": digest, "seq": row.seq})
