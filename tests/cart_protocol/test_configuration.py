"""Configuration files: read whole, or refused with file, line, what was seen and the remedy."""

from pathlib import Path

import msgspec
import pytest

from cart_firmware.config import Settings as CartSettings
from cart_protocol.host.configuration import ConfigurationError, read
from edge_agent.config import Settings as StoreSettings


class Lamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pin: int
    colour: str = "green"


class Broker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    key: Path
    certificate: Path | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    broker: Broker
    lamps: tuple[Lamp, ...] = ()
    name: str = "lane"


GOOD = """# The lane at the north door
name = "north"

[broker]
host = "edge"
key = "/etc/lane.key"

[[lamps]]
pin = 5

[[lamps]]
pin = 6
colour = "red"
"""


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lane.toml"
    path.write_text(text)
    return path


def test_a_sound_file_becomes_typed_settings(tmp_path: Path) -> None:
    assert read(file_with(tmp_path, GOOD), Lane) == Lane(
        name="north",
        broker=Broker(host="edge", key=Path("/etc/lane.key")),
        lamps=(Lamp(pin=5), Lamp(pin=6, colour="red")),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "north"', "nmae = 1", ", line 2: unknown key 'nmae'; remove it or correct its spelling"),
        ('name = "north"', "name = 1", ", line 2: name: Expected `str`, got `int`; correct the value"),
        ('host = "edge"', "host = 8883", ", line 5: broker.host: Expected `str`, got `int`; correct the value"),
        ('host = "edge"', 'host = "edge"\nhots = 1', ", line 6: unknown key 'broker.hots'"),
        ('host = "edge"', "", ", line 4: broker: Object missing required field `host`; correct the value"),
        ('key = "/etc/lane.key"', "key = 7", ", line 6: broker.key: Expected `Path`, got `int`; correct the value"),
        ("pin = 6", 'pin = "6"', ", line 12: lamps.1.pin: Expected `int`, got `str`; correct the value"),
        ("pin = 6", "pin = 6\nwatts = 5", ", line 13: unknown key 'lamps.1.watts'"),
        ("pin = 6\n", "", ", line 11: lamps.1: Object missing required field `pin`"),
        ("[broker]", "[broker", ": not TOML: "),
        ("[broker]", "[brokers]", ", line 4: unknown key 'brokers'"),
    ],
)
def test_a_mistake_names_file_line_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    path = file_with(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigurationError) as refusal:
        read(path, Lane)
    assert str(refusal.value).startswith(f"{path}{said}")


def test_a_mistake_in_an_inline_table_names_the_line_it_stands_on(tmp_path: Path) -> None:
    path = file_with(tmp_path, 'name = "north"\nbroker = { host = "edge", key = 1 }\n')
    with pytest.raises(ConfigurationError, match=r"line 2: broker.key: Expected `Path`, got `int`"):
        read(path, Lane)


def test_a_file_that_is_missing_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read .*; name another"):
        read(tmp_path / "nowhere.toml", Lane)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(binary, Lane)


def test_the_shortest_cart_and_store_files_are_enough(tmp_path: Path) -> None:
    broker = """[broker]
host = "edge"
authority = "/etc/cartwright/authority.pem"
certificate = "/etc/cartwright/me.pem"
key = "/etc/cartwright/me.key"
"""
    cart = """state = "/var/lib/cartwright"
price_book_key = "/etc/cartwright/signing.pem"
[identity]
cart = "c1"
store = "s1"
phone_page = "https://shop.example/phone"
"""
    store = """database = "sqlite:////var/lib/cartwright/store.db"
price_book = "/etc/cartwright/catalogue.toml"
signing_key = "/etc/cartwright/signing.key"
staff = "/etc/cartwright/staff.toml"
[identity]
store = "s1"
name = "The shop"
[web]
certificate = "/etc/cartwright/web.pem"
[[lanes]]
lane = "north"
scale = "8217:/dev/ttyUSB0"
scanner = "serial:/dev/ttyUSB1"
"""
    on_cart = read(file_with(tmp_path, cart + broker), CartSettings)
    assert (on_cart.state, on_cart.broker.port) == (Path("/var/lib/cartwright"), 8883)
    in_store = read(file_with(tmp_path, store + broker), StoreSettings)
    assert in_store.web.certificate == Path("/etc/cartwright/web.pem")
    assert [lane.lane for lane in in_store.lanes] == ["north"]
