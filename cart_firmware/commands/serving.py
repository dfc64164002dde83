"""Commands of the running cart: serve, check the settings, say how it is doing, what a phone needs to take it."""

import asyncio
import sys
from typing import Annotated

import msgspec
import typer

from cart_firmware import composition
from cart_firmware.commands.options import Config
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.host.logs import configure
from cart_protocol.host.signature import Verifier


def run(
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Serve shoppers until SIGTERM or Ctrl-C."""
    configure(verbose)
    asyncio.run(composition.serve(composition.checked(config)))


def check(config: Config) -> None:
    """Say whether the configuration and all files it names can be used. Touches no device."""
    settings = composition.checked(config)
    Verifier.load(settings.price_book_key)
    for file in (settings.broker.authority, settings.broker.certificate, settings.broker.key):
        if not file.is_file():
            raise ConfigurationError(f"{config}: {file} is not there; correct the path or copy the file")
    typer.echo(f"{config}: good. Cart {settings.identity.cart} of store {settings.identity.store}.")


def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how the cart is doing: asked of the running program, or read from its memory where none runs."""
    found = asyncio.run(composition.status(composition.checked(config)))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    for name in found.__struct_fields__:
        typer.echo(f"{name.replace('_', ' '):<20} {_read_aloud(getattr(found, name))}")


def code(config: Config) -> None:
    """Print what a shopper's phone needs to take this cart: the address in the QR on its screen."""
    settings = composition.checked(config)
    found = asyncio.run(composition.status(settings))
    if not found.code:
        typer.echo(f"cart-firmware: the cart is {found.phase} and offers no code", err=True)
        raise typer.Exit(1)
    typer.echo(f"{settings.identity.phone_page}?code={found.cart}-{found.code}")


def _read_aloud(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
        case tuple():
            return ", ".join(str(each) for each in value) or "none"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
