"""Commands that make a store, and let carts and agents in."""

from pathlib import Path
from typing import Annotated

import typer

from cart_protocol.host.configuration import read
from cart_protocol.ids import StoreId, cart_id, store_id
from edge_agent import composition
from edge_agent.commands.options import Config
from edge_agent.config import Settings
from edge_agent.devices import store_folder
from edge_agent.devices.signature import Signer
from edge_agent.devices.store_folder import NewCart, NewStore
from edge_agent.store.price_book_file import read_catalogue

_DEMO_CATALOGUE = Path(__file__).parents[1] / "catalogue" / "demo.toml"


def init(
    folder: Annotated[Path, typer.Argument(help="The new store's folder.")],
    *,
    store: Annotated[str, typer.Option(help="Id of the store: lower-case letters, digits and '-'.")],
    name: Annotated[str, typer.Option(help="What shoppers read.")],
    state: Annotated[Path, typer.Option(help="Folder for the journal, on a disk that survives power cuts.")],
    catalogue: Annotated[Path, typer.Option(help="Price book to begin with (copied).")] = _DEMO_CATALOGUE,
    broker_host: Annotated[str, typer.Option(help="Name or address under which carts reach the broker.")] = "127.0.0.1",
    broker_port: Annotated[int, typer.Option(help="Port of the broker.")] = 8883,
    web_port: Annotated[int, typer.Option(help="Port of the pages.")] = 8443,
) -> None:
    """Make a new store: authority, certificates, signing key, broker configuration, price book and edge.toml."""
    pictures = read_catalogue(catalogue).folder
    new = NewStore(
        store=store_id(store), name=name, state=state, catalogue=catalogue, pictures=pictures, broker_host=broker_host,
        broker_port=broker_port, web_port=web_port,
    )  # fmt: skip
    configuration = store_folder.create(folder, new)
    typer.echo(f"{configuration}: made. Back up {folder / 'authority'} and keep it closed.")
    typer.echo(f"Next: edge-agent staff add NAME --role manager --config {configuration}")


def issue_cart(
    carts: Annotated[list[str], typer.Argument(help="Ids of the carts, e.g. c1; each is its certificate's name.")],
    *,
    config: Config,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the bundle, of several carts for their folders; default: carts beside --config."),
    ] = None,
    broker_host: Annotated[
        str | None, typer.Option(help="Where these carts reach the broker; default: as the agent.")
    ] = None,
    installed_at: Annotated[Path, typer.Option(help="Folder on the cart for these files.")] = Path("/etc/cartwright"),
    state: Annotated[Path, typer.Option(help="Folder on the cart for its state.")] = Path("/var/lib/cartwright"),
) -> None:
    """Make the bundle for each cart: certificate, keys and cart.toml, for scripts/install-cart."""
    settings = read(config, Settings)
    signer = Signer.load(settings.signing_key)
    for cart in carts:
        new = NewCart(
            cart=cart_id(cart), store=StoreId(settings.identity.store), broker_host=broker_host or settings.broker.host,
            broker_port=settings.broker.port, phone_page=f"{composition.address_of(settings.web)}/phone",
            installed_at=installed_at, state=state,
        )  # fmt: skip
        bundle = output if output and len(carts) == 1 else (output or config.parent / "carts") / cart
        made = store_folder.issue_cart(config.resolve().parent, new, signer, bundle)
        typer.echo(f"{made}: made. Carry {bundle} to the cart and run: sudo scripts/install-cart {bundle.name}")


def issue_agent(
    name: Annotated[str, typer.Argument(help="Its name at the broker: 'agent-' and what you like, e.g. agent-2.")],
    *,
    config: Config,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the certificate and key; default: agents/NAME beside --config.")
    ] = None,
) -> None:
    """Make the certificate of a further agent that shares this store's PostgreSQL, and let it in at the broker.

    Its edge.toml is a copy of this one with its own web address, lanes, [broker] certificate and key, and in [cluster]
    this name and a home of its own. Signing key, staff file and price book are the same ones.
    """
    settings = read(config, Settings)
    folder = config.resolve().parent
    made = store_folder.issue_agent(folder, name, store_id(settings.identity.store), output or folder / "agents" / name)
    typer.echo(f"{made}: made. Carry it to the other box. Now: systemctl reload mosquitto")


def access_list(config: Config) -> None:
    """Write the broker's access list anew, after an update that brought new topics."""
    store = store_id(read(config, Settings).identity.store)
    made = store_folder.write_access_list(config.resolve().parent, store)
    typer.echo(f"{made}: written. Now: systemctl reload mosquitto")


def revoke(
    name: Annotated[str, typer.Argument(help="Whose certificates: a cart's id.")],
    config: Config,
) -> None:
    """Revoke every certificate of a cart. The broker learns of it when it is restarted."""
    count = store_folder.revoke(config.resolve().parent, name)
    typer.echo(f"{name}: {count} certificates revoked. Now: systemctl restart mosquitto")
