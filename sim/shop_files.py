"""The files of the live shop: where each program of it finds its configuration, certificates and wires.

The programs are the product, configured for parts that happen to be simulated: an SPI bus and a pin factory by class
path, serial ports that are ptys, a camera that is a child process. None of them can tell.
"""

import re
import secrets
import shutil
import sys
import tomllib
from pathlib import Path

import msgspec

from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.gs1.restricted import plu
from cart_protocol.ids import ProductId
from sim.exit_lane import LANE
from sim.goods_looks import looks
from sim.optics.goods_shots import portrait

CAMERA_SIZE = (640, 480)
PHOTO_SIZE = (1280, 960)
"""Photographs keep their fine bars only on a larger frame."""
FRAMES_PER_SECOND = 12
_VERSION = re.compile(r"^version = .*$", flags=re.MULTILINE)
PHOTO_FRAMES_PER_SECOND = 6


class ShopFiles(msgspec.Struct, frozen=True, kw_only=True):
    """One folder for everything the demo writes, and the ports it found free."""

    folder: Path
    broker_port: int
    web_port: int
    acquirer_port: int
    screen_ports: list[int]
    broker_host: str = "127.0.0.1"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def journal(self) -> Path:
        return self.store / "state" / "store.db"

    @property
    def edge_config(self) -> Path:
        return self.store / "edge.demo.toml"

    @property
    def broker_config(self) -> Path:
        return self.store / "broker" / "mosquitto.demo.conf"

    @property
    def api_key(self) -> Path:
        return self.folder / "acquirer.key"

    @property
    def notice_secret(self) -> Path:
        return self.folder / "notice.key"

    @property
    def shown(self) -> Path:
        """Pictures of goods that staff took before the shop opened."""
        return self.folder / "shown"

    @property
    def street(self) -> Path:
        return self.folder / "street.sock"

    @property
    def scale(self) -> Path:
        return self.folder / "exit-scale"

    @property
    def scanner(self) -> Path:
        return self.folder / "order-scanner"

    @property
    def voice(self) -> Path:
        return self.folder / "voice"

    def cart(self, number: int) -> Path:
        return self.folder / f"cart-{number}"

    def cart_config(self, number: int) -> Path:
        return self.cart(number) / "cart.demo.toml"


def program(name: str) -> str:
    """Return where a program is: beside our own interpreter, else on the path, else where Debian keeps daemons."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or f"/usr/sbin/{name}"


def write_portraits(catalogue: Path) -> None:
    """Paint a picture of every product of a catalogue into the folder `pictures` beside it, and name it there.

    Only of a shop that has not opened: pictures belong to a version of the book.
    """
    text = catalogue.read_text(encoding="utf-8")
    folder = catalogue.parent / "pictures"
    folder.mkdir(exist_ok=True)
    for entry in tomllib.loads(text)["product"]:
        number = entry.get("gtin") or entry["plu"]
        product = ProductId(gtin_of(number)) if "gtin" in entry else plu(number)
        (folder / f"{number}.webp").write_bytes(portrait(looks(product, entry["name"], entry.get("mass_g", 0))))
    catalogue.write_text(_VERSION.sub(r'\g<0>\npictures = "pictures"', text, count=1), encoding="utf-8")


def write_edge(files: ShopFiles, *, catalogue: Path, database: str | None = None) -> None:
    """Write the agent's configuration for the demo; the files it names were made by `edge-agent init`.

    `database` is the journal's address; left out, it is a file of the store's.
    """
    for secret in (files.api_key, files.notice_secret):
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(24))
    files.voice.mkdir(exist_ok=True)
    pins = f"sim.wires.pins:connect?socket={files.street}&lane={LANE}"
    files.edge_config.write_text(f"""\
# Written by the demo at every start.
database = "{database or f"sqlite:///{files.journal}"}"
price_book = "{catalogue}"
signing_key = "{files.store / "keys" / "signing.key"}"
staff = "{files.store / "state" / "staff.json"}"

[identity]
store = "demo"
name = "Corner Market"
registration = "DEMO 000 000 000"
address = "1 Example Street"

{_broker(files, files.store / "certificates", "agent")}
[web]
port = {files.web_port}

[payment]
acquirer = "test:http://127.0.0.1:{files.acquirer_port}"
api_key = "{files.api_key}"
notice_secret = "{files.notice_secret}"
timeout_s = 3.0

[[lanes]]
lane = "{LANE}"
scale = "8217:{files.scale}"
scanner = "serial:{files.scanner}"
pins = "{pins}"
speaker = "espeak-ng:{files.voice}"
""")


def write_cart(
    files: ShopFiles, number: int, *, photos: bool, by_sight: bool = False, broker: tuple[str, int] | None = None,
    frames_per_second: int | None = None,
) -> None:  # fmt: skip
    """Write one cart's configuration for the demo; its certificate was made by `edge-agent issue-cart`.

    `broker` is where this cart finds it; left out, where everybody does. `by_sight` lets it look at goods.
    """
    folder = files.cart(number)
    width, height = PHOTO_SIZE if photos else CAMERA_SIZE
    frames_per_second = frames_per_second or (PHOTO_FRAMES_PER_SECOND if photos else FRAMES_PER_SECOND)
    camera = (
        f"{program('cart-sim')} camera --socket {files.street} --cart c{number}"
        f" --width {width} --height {height} --fps {frames_per_second}"
    )
    files.cart_config(number).write_text(f"""\
# Written by the demo at every start.
state = "{folder / "state"}"
price_book_key = "{folder / "price_book.pub"}"

[identity]
cart = "c{number}"
store = "demo"
phone_page = "http://127.0.0.1:{files.web_port}/phone"

{_broker(files, folder, f"c{number}", broker)}
[load_cell]
device = "hx711-spi:sim.wires.spi:connect?socket={files.street}&cart=c{number}&seed={number}"

[camera]
device = "pipe:{camera}"
width = {width}
height = {height}
frames_per_second = {frames_per_second}

[hands]
watch = {"false" if photos else "true"}

[recognition]
use = {"true" if by_sight else "false"}

[screen]
port = {files.screen_ports[number - 1]}
""")


def _broker(files: ShopFiles, folder: Path, name: str, address: tuple[str, int] | None = None) -> str:
    host, port = address or (files.broker_host, files.broker_port)
    return f"""\
[broker]
host = "{host}"
port = {port}
authority = "{folder / "authority.pem"}"
certificate = "{folder / f"{name}.pem"}"
key = "{folder / f"{name}.key"}"
"""
