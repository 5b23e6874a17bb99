"""What alembic runs for `leaderboard.archive.schema.upgrade`, on a connection and in a transaction given to it."""

from alembic import context

_given = context.config.attributes

context.configure(
    connection=_given["connection"],
    version_table=_given["tables"].schema,
    namespace=_given["tables"].namespace,
)
with context.begin_transaction():
    context.run_migrations()
