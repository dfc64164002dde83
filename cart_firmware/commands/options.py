"""What several commands share: the option that names the settings, and the keys of the file as help."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

Config = Annotated[Path, typer.Option("--config", help="The cart's configuration file (cart.toml).")]


def keys(heading: str, settings: type[msgspec.Struct]) -> str:
    """Return the keys of settings as the last part of a command's help."""
    return "\n\n".join((heading, *_tables(settings)))


def _tables(settings: type[msgspec.Struct], table: str = "") -> Iterator[str]:
    """Return one paragraph per table of the configuration file: its keys and what they are without one."""
    fields = msgspec.structs.fields(settings)
    plain = [field for field in fields if not _is_table(field.type)]
    described = (field.name if field.required else f"{field.name} = {_shown(field.default)}" for field in plain)
    yield f"\\[{table}]  {', '.join(described)}" if table else ", ".join(described)
    for field in fields:
        if _is_table(field.type):
            yield from _tables(field.type, field.name)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _shown(value: object) -> str:
    match value:
        case None:
            return "(not set)"
        case str():
            return f'"{value}"'
        case tuple():
            return str(list(value)).replace("[", "\\[")  # rich takes a bare bracket for a style
        case _:
            return str(value)
