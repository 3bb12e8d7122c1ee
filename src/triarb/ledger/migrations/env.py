"""What alembic runs: the migrations, on the connection that `storage` hands over, in its transaction."""  # noqa: INP001

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
