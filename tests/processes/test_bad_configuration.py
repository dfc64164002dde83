"""A configuration file that is wrong stops the program at its start, with file, line, key and remedy."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from sim.shop_files import ShopFiles, program, write_cart, write_edge

pytestmark = pytest.mark.processes

_PATIENCE_S = 60


class Mistake(msgspec.Struct, frozen=True):
    """`line` in place of the port in table `table`, and what must be said about it."""

    table: str
    line: str
    said: tuple[str, ...]


MISSPELT = ("unknown key", "remove it or correct its spelling")
ILL_TYPED = ("Expected `int`, got `str`", "correct the value")


@pytest.fixture
def files(tmp_path: Path) -> ShopFiles:
    made = ShopFiles(folder=tmp_path, broker_port=1, web_port=2, acquirer_port=3, screen_ports=[4])
    made.store.mkdir()
    made.cart(1).mkdir()
    write_edge(made, catalogue=made.store / "price_book.toml")
    write_cart(made, 1, photos=False)
    return made


@pytest.mark.parametrize(
    ("name", "port", "mistake"),
    [
        ("cart-firmware", "port = 4", Mistake("screen", "prot = 4", (*MISSPELT, "'screen.prot'"))),
        ("cart-firmware", "port = 4", Mistake("screen", 'port = "4"', (*ILL_TYPED, "screen.port"))),
        ("edge-agent", "port = 2", Mistake("web", "prot = 2", (*MISSPELT, "'web.prot'"))),
        ("edge-agent", "port = 2", Mistake("web", 'port = "2"', (*ILL_TYPED, "web.port"))),
    ],
)
def test_a_wrong_key_stops_the_start_and_is_explained(files: ShopFiles, name: str, port: str, mistake: Mistake) -> None:
    config = files.cart_config(1) if name == "cart-firmware" else files.edge_config
    before, right, after = config.read_text().rpartition(port)
    assert right
    assert before.rstrip().endswith(f"[{mistake.table}]")
    config.write_text(before + mistake.line + after)
    ended = subprocess.run(
        [program(name), "run", "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=_PATIENCE_S,
    )  # fmt: skip
    assert ended.returncode not in {0, None}
    place = f"{config}, line {before.count(chr(10)) + 1}: "
    assert place in ended.stderr
    for words in mistake.said:
        assert words in ended.stderr
    assert "Traceback" not in ended.stderr
