"""Commands on the price book and its pictures."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cart_protocol.host.configuration import read
from edge_agent.commands.options import Config
from edge_agent.config import Settings
from edge_agent.store.picture_files import shrink
from edge_agent.store.price_book_file import read_price_book


def price_book(config: Config) -> None:
    """Print the price book as carts get it (JSON), or everything that is wrong with the file."""
    book = read_price_book(read(config, Settings).price_book)
    sys.stdout.buffer.write(msgspec.json.encode(book) + b"\n")


def shrink_pictures(
    photographs: Annotated[Path, typer.Argument(help="Folder of photographs, each named by GTIN or PLU.")],
    into: Annotated[Path, typer.Argument(help="Folder that `pictures` in the price book names.")],
) -> None:
    """Make pictures for the carts' screens of photographs of products: 256 x 256 pixels, WebP, on white."""
    made = 0
    for file in shrink(photographs, into):
        made += 1
        typer.echo(f"{file}: {file.stat().st_size} bytes")
    typer.echo(f'{made} pictures. Write pictures = "{into}" into the price book, and raise its version.')
