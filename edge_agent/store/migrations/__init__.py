"""Alembic's room: how the journal's tables came to be, one file per step in versions/. Run when the journal opens."""
