"""The folder of a store, made once by `edge-agent init`, and the bundle of each cart, by `edge-agent issue-cart`.

edge.toml           the agent's configuration
price_book.toml     the catalogue that the shop keeps by hand
authority/          the certificate authority with its private key: the agent never reads it, back it up
certificates/       the agent's own certificate and key
keys/signing.key    signs price books and exit tokens; carts hold its public half
broker/             mosquitto's configuration, access list, certificate and revocations

The journal and the staff's roll (staff.json) are the agent's own and lie in its state folder.
"""

import getpass
import ipaddress
import json
import shutil
from pathlib import Path

import msgspec

from cart_protocol.host.clock import Clock, HostClock
from cart_protocol.ids import CartId, StoreId
from edge_agent.devices import mosquitto
from edge_agent.devices.authority import AGENT, Authority, Credentials
from edge_agent.devices.mosquitto import BrokerSettings
from edge_agent.devices.private_file import write_public, write_secret
from edge_agent.devices.signature import Signer

_BROKER = "broker"
_LOOPBACK = ("127.0.0.1", "localhost")
_PRIVATE = 0o700


class StoreFolderError(Exception):
    """The folder cannot be made or used; the text says why and what to do."""


class NewStore(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a new store. `broker_host` is the name or address under which carts reach the broker."""

    store: StoreId
    name: str
    state: Path
    catalogue: Path
    pictures: Path | None = None
    """Where the catalogue says that its pictures lie; copied with it where that is beside it."""
    broker_host: str = "127.0.0.1"
    broker_port: int = 8883
    web_port: int = 8443


class NewCart(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a cart's bundle. `installed_at` is the folder on the cart that will hold the bundle's files."""

    cart: CartId
    store: StoreId
    broker_host: str
    broker_port: int
    phone_page: str
    installed_at: Path
    state: Path


def create(folder: Path, new: NewStore, clock: Clock | None = None) -> Path:
    """Make the folder of a new store and return its configuration file.

    Raises:
        StoreFolderError: a store is there already.
        AuthorityError, KeyFileError: as those say.
    """
    folder, state = folder.resolve(), new.state.resolve()
    configuration = folder / "edge.toml"
    if configuration.exists():
        raise StoreFolderError(f"{configuration}: exists; a store is there already, name an empty folder")
    for part in (folder, state, folder / "certificates", folder / "keys", folder / "broker"):
        part.mkdir(parents=True, exist_ok=True)
    (folder / "keys").chmod(_PRIVATE)
    authority = Authority.create(folder / "authority", new.store, clock or HostClock())
    _keep(authority.issue(AGENT, "agent"), folder / "certificates")
    _keep(authority.issue(_BROKER, "broker", _hosts(new.broker_host)), folder / "broker")
    shutil.copyfile(authority.revocation_list, folder / "broker" / "revoked.pem")
    Signer.create(folder / "keys" / "signing.key")
    shutil.copyfile(new.catalogue, folder / "price_book.toml")
    if new.pictures and not new.pictures.is_absolute():
        shutil.copytree(new.catalogue.parent / new.pictures, folder / new.pictures, dirs_exist_ok=True)
    _write_broker(folder, new)
    write_public(configuration, _edge_toml(folder, state, new).encode())
    return configuration


def issue_cart(folder: Path, new: NewCart, signer: Signer, bundle: Path, clock: Clock | None = None) -> Path:
    """Make a cart's certificate and its bundle of files, and return the bundle's configuration file.

    Doing it again replaces the files; the older certificate stays good until it is revoked.

    Raises:
        AuthorityError: there is no authority in `folder`, or the name cannot be a cart's.
    """
    authority = Authority.open(folder / "authority", clock or HostClock())
    bundle.mkdir(parents=True, exist_ok=True)
    bundle.chmod(_PRIVATE)
    _keep(authority.issue(new.cart, "cart"), bundle)
    write_public(bundle / "price_book.pub", signer.verifier.pem())
    write_public(bundle / "cart.toml", _cart_toml(new).encode())
    return bundle / "cart.toml"


def issue_agent(folder: Path, name: str, store: StoreId, bundle: Path, clock: Clock | None = None) -> Path:
    """Make a further agent's certificate, let it in at the broker, and return the folder of its files.

    Doing it again replaces the files.

    Raises:
        AuthorityError: there is no authority in `folder`, or the name cannot be an agent's.
    """
    authority = Authority.open(folder / "authority", clock or HostClock())
    issued = authority.issue(name, "agent")
    bundle.mkdir(parents=True, exist_ok=True)
    bundle.chmod(_PRIVATE)
    _keep(issued, bundle)
    _let_in(folder, store, authority)
    return bundle


def write_access_list(folder: Path, store: StoreId, clock: Clock | None = None) -> Path:
    """Write anew what the broker lets carts and agents say: an update may have added topics. Return the file.

    Raises:
        AuthorityError: there is no authority in `folder`.
    """
    return _let_in(folder, store, Authority.open(folder / "authority", clock or HostClock()))


def revoke(folder: Path, common_name: str, clock: Clock | None = None) -> int:
    """Revoke every certificate of that name, tell the broker's folder, and return how many were still good.

    Raises:
        AuthorityError: as Authority.revoke.
    """
    authority = Authority.open(folder / "authority", clock or HostClock())
    revoked = authority.revoke(common_name)
    write_public(folder / "broker" / "revoked.pem", authority.revocation_list.read_bytes())
    return revoked


def _let_in(folder: Path, store: StoreId, authority: Authority) -> Path:
    file = folder / "broker" / "access.txt"
    write_secret(file, mosquitto.access_list(store, authority.agents()).encode())
    return file


def _keep(issued: Credentials, folder: Path) -> None:
    """Copy a holder's files to where it reads them; the authority's own folder stays closed to everybody else."""
    write_public(folder / "authority.pem", issued.authority.read_bytes())
    write_public(folder / issued.certificate.name, issued.certificate.read_bytes())
    write_secret(folder / issued.key.name, issued.key.read_bytes())


def _write_broker(folder: Path, new: NewStore) -> None:
    own = folder / "broker"
    settings = BrokerSettings(
        host="127.0.0.1" if _is_loopback(new.broker_host) else "0.0.0.0",  # noqa: S104 - carts come from the shop's network
        port=new.broker_port, authority=own / "authority.pem", revocation_list=own / "revoked.pem",
        certificate=own / f"{_BROKER}.pem", key=own / f"{_BROKER}.key", access_list=own / "access.txt",
        user=getpass.getuser(),
    )  # fmt: skip
    write_secret(own / "access.txt", mosquitto.access_list(new.store).encode())
    write_public(own / "mosquitto.conf", mosquitto.configuration(settings).encode())


def _hosts(host: str) -> tuple[str, ...]:
    return (*_LOOPBACK, *([] if host in _LOOPBACK else [host]))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _edge_toml(folder: Path, state: Path, new: NewStore) -> str:
    certificates = folder / "certificates"
    return f"""\
# The store's edge agent. Made by `edge-agent init`; yours to edit. Unknown keys stop the start.
# `edge-agent check --config THIS` says whether it can be used.
database = {_text(f"sqlite:///{state / 'store.db'}")}
price_book = {_text(folder / "price_book.toml")}
signing_key = {_text(folder / "keys" / "signing.key")}
staff = {_text(state / "staff.json")}

[identity]
store = {_text(new.store)}
name = {_text(new.name)}

[broker]
host = "127.0.0.1"
port = {new.broker_port}
authority = {_text(certificates / "authority.pem")}
certificate = {_text(certificates / f"{AGENT}.pem")}
key = {_text(certificates / f"{AGENT}.key")}

[web]
# Plain HTTP is served on loopback only. For phones: set host, certificate and key, and how phones reach us.
host = "127.0.0.1"
port = {new.web_port}
# public_address = "https://shop.example"
# certificate = "/etc/cartwright/web.pem"
# key = "/etc/cartwright/web.key"

[payment]
# The test acquirer moves no real money.
acquirer = "test:http://127.0.0.1:8790"
# notice_secret = "/etc/cartwright/notice.key"   # what the acquirer signs its notices with: POST /acquirer/notice

# One table per exit lane:
# [[lanes]]
# lane = "lane-2"
# scale = "8217:/dev/serial/by-path/..."
# scanner = "serial:/dev/serial/by-path/..."
"""


def _cart_toml(new: NewCart) -> str:
    at = new.installed_at
    return f"""\
# One cart. Made by `edge-agent issue-cart`; calibration is yours to enter. Unknown keys stop the start.
state = {_text(new.state)}
price_book_key = {_text(at / "price_book.pub")}

[identity]
cart = {_text(new.cart)}
store = {_text(new.store)}
phone_page = {_text(new.phone_page)}

[broker]
host = {_text(new.broker_host)}
port = {new.broker_port}
authority = {_text(at / "authority.pem")}
certificate = {_text(at / f"{new.cart}.pem")}
key = {_text(at / f"{new.cart}.key")}
"""


def _text(value: object) -> str:
    """Return `value` as a TOML basic string, which JSON's strings are a part of (TOML 1.0, section String)."""
    return json.dumps(str(value), ensure_ascii=False)
