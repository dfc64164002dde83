"""A journal's tables brought up to this program: by Alembic where they are older, by one look where they are not."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from edge_agent.store.schema import HEAD

_MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(connection: Connection) -> bool:
    """Run the migrations that are missing, in the caller's transaction; return whether there were any."""
    if revision_of(connection) == HEAD:
        return False
    if connection.dialect.name == "postgresql":  # agents that share it may all start now: one at a time
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('cartwright-upgrade'))"))
        if revision_of(connection) == HEAD:
            return False
    # Imported when needed: a restart, which finds the tables as it left them, is faster without Alembic.
    import alembic.command  # noqa: PLC0415
    import alembic.config  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")
    return True


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the tables there are; None for a database that has none of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
