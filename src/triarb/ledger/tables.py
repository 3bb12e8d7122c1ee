"""The tables at their newest schema. A new ledger is made from here; an older one comes here by the migrations."""

import sqlalchemy as sa

metadata = sa.MetaData()

_WHOLE_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", _WHOLE_NUMBER, primary_key=True, autoincrement=False),
    sa.Column("at_ns", sa.BigInteger(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("payload", sa.Text(), nullable=False),
    sa.Column("digest", sa.Text(), nullable=False),
)
"""Every event, numbered from 1 without a gap; its digest is over itself and the digest of the one before it."""

postings = sa.Table(
    "postings",
    metadata,
    sa.Column("seq", _WHOLE_NUMBER, sa.ForeignKey("journal.seq"), primary_key=True),
    sa.Column("account", sa.Text(), primary_key=True),
    sa.Column("asset", sa.Text(), primary_key=True),
    sa.Column("amount", sa.Text(), nullable=False),
)
"""What events moved, in double entry: each event's amounts of each asset sum to zero over the accounts."""

alembic_version = sa.Table(
    "alembic_version",
    metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own: the one row says which schema this is."""
