"""The first schema: the journal of events, and the postings of those that moved balances."""  # noqa: INP001

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    whole_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "journal",
        sa.Column("seq", whole_number, primary_key=True, autoincrement=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
    )
    op.create_table(
        "postings",
        sa.Column("seq", whole_number, sa.ForeignKey("journal.seq"), primary_key=True),
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("asset", sa.Text(), primary_key=True),
        sa.Column("amount", sa.Text(), nullable=False),
    )
