"""Commands on who may sign in at the console."""

from typing import Annotated

import typer

from cart_protocol.host.configuration import read
from edge_agent.commands.options import Config
from edge_agent.config import Settings
from edge_agent.core.staff import Role
from edge_agent.store.staff import StaffFile


def add(
    name: Annotated[str, typer.Argument(help="The name they sign in with.")],
    config: Config,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.ATTENDANT,
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for when not given.")
    ] = "",
) -> None:
    """Let somebody sign in, or change their role or password."""
    member = StaffFile(read(config, Settings).staff).add(name, role, password)
    typer.echo(f"{member.staff}: may sign in as {member.role}.")


def remove(name: Annotated[str, typer.Argument(help="Whom.")], config: Config) -> None:
    """Take somebody off the roll; they are out at once."""
    gone = StaffFile(read(config, Settings).staff).remove(name)
    typer.echo(f"{name}: {'removed' if gone else 'was not on the roll'}.")


def everyone(config: Config) -> None:
    """Print who may sign in, and as what."""
    for member in StaffFile(read(config, Settings).staff).everyone():
        typer.echo(f"{member.staff:<24} {member.role}")
