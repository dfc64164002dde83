"""Run by Alembic with the connection that the journal opened; there is no offline mode and no configuration file."""

from alembic import context

from edge_agent.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
