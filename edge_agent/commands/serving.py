"""Commands of the agent itself: serve, and check what it would serve with."""

import asyncio
from typing import Annotated

import typer

from cart_protocol.host.configuration import ConfigurationError, read
from cart_protocol.host.logs import configure
from cart_protocol.ids import store_id
from edge_agent import composition
from edge_agent.commands.options import Config
from edge_agent.config import Settings
from edge_agent.devices.signature import Signer
from edge_agent.store.price_book_file import read_catalogue
from edge_agent.store.staff import StaffFile


def run(
    config: Config,
    verbose: Annotated[bool, typer.Option(help="Also log what only developers want to know.")] = False,
) -> None:
    """Serve the store until SIGTERM or Ctrl-C."""
    configure(verbose)
    asyncio.run(composition.serve(read(config, Settings)))


def check(config: Config) -> None:
    """Say whether the configuration and all files it names can be used. Touches no device."""
    settings = read(config, Settings)
    store_id(settings.identity.store)
    composition.check_cluster(settings)
    catalogue = read_catalogue(settings.price_book)
    book, shown = catalogue.book, sum(bool(product.picture) for product in catalogue.book.products)
    Signer.load(settings.signing_key)
    people = StaffFile(settings.staff).everyone()
    needed = [settings.broker.authority, settings.broker.certificate, settings.broker.key, settings.payment.api_key]
    needed += [settings.payment.notice_secret, settings.web.certificate, settings.web.key]
    for file in needed:
        if file is not None and not file.is_file():
            raise ConfigurationError(f"{config}: {file} is not there; correct the path or make the file")
    typer.echo(
        f"{config}: good. {len(book.products)} products, {shown} with a picture, {len(people)} people,"
        f" {len(settings.lanes)} lanes."
    )
