"""`cart-firmware enrol`: a product shown to the camera of this machine, and kept for the store."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from cart_firmware.devices.sight_files import SightFolder
from edge_agent.devices.authority import Authority
from sim.goods_looks import LOOSE
from sim.optics.goods_shots import shot
from tests.cart_firmware.test_cart_main import Bench, Programs, until
from tests.cart_firmware.test_lesson import fruit


@pytest.fixture
def bench(tmp_path: Path, authority: Authority) -> Bench:
    """A cart whose camera sees a fruit being turned."""
    bench = Bench(tmp_path, authority)
    film = f"{sys.executable} -m tests.cart_firmware.fruit_film"
    config = bench.config.read_text()
    before, _, after = config.partition('device = "pipe:')
    rest = after.partition("\n")[2]
    bench.config.write_text(f'{before}device = "pipe:{film}"\nwidth = 320\nheight = 240\n{rest}')
    return bench


@pytest.fixture
def programs(bench: Bench) -> Iterator[Programs]:
    started = Programs(bench)
    yield started
    started.end()


def pictures(folder: Path, turns: range) -> list[str]:
    """Write pictures of a fruit's sides; return the options that name them."""
    options = []
    for turn in turns:
        file = folder / f"side-{turn}.png"
        assert cv2.imwrite(str(file), fruit(turn)[55:185, 95:225])
        options += ["--from", str(file)]
    return options


@pytest.mark.processes
def test_a_fruit_turned_before_the_camera_is_learned_and_kept_for_the_store(bench: Bench) -> None:
    answer = bench.ask("enrol", "00071", "--shots", "3", "--json")
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert (said["taught"]["product"], said["taught"]["shots"]) == ("plu:00071", 3)
    assert "00071: 2 of 3." in answer.stderr, "it says how far it is"
    (kept,) = SightFolder(bench.state).lessons()
    assert kept.learned.taught.product == "plu:00071"
    assert sorted(path.name for path in bench.state.iterdir()) == ["lessons"], "no picture is kept"


def test_pictures_may_stand_in_for_the_camera(bench: Bench, tmp_path: Path) -> None:
    answer = bench.ask("enrol", "00071", *pictures(tmp_path, range(5)))
    assert answer.returncode == 0, answer.stderr
    assert "5 of 5 are told from all others" in answer.stdout
    (kept,) = SightFolder(bench.state).lessons()
    assert kept.learned.taught.shots == 5


def test_shots_of_several_things_are_not_kept(bench: Bench, tmp_path: Path) -> None:
    options = []
    for product in ("plu:00013", "plu:00025", "plu:00053", "plu:00026"):  # bananas, peppers, lettuce, mushrooms
        file = tmp_path / f"{product[4:]}.png"
        assert cv2.imwrite(str(file), shot(LOOSE[product].looks, 1, 160))
        options += ["--from", str(file)]
    answer = bench.ask("enrol", "00071", *options)
    assert answer.returncode == 1, answer.stdout
    assert "Show it again" in answer.stdout
    assert SightFolder(bench.state).lessons() == []


def test_the_price_book_that_the_cart_kept_gives_the_name(bench: Bench, tmp_path: Path) -> None:
    bench.begin()
    answer = bench.ask("enrol", "4001234000008", *pictures(tmp_path, range(2)))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Milk (04001234000008), 2 shots")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("12", "--from", "x.png"), "give a PLU of five digits, or a GTIN"),
        (("00071", "--from", "missing.png"), "no picture that can be read"),
        (("00071", *(["--from", "x.png"] * 11)), "10 are the most"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(bench: Bench, words: tuple[str, ...], said: str) -> None:
    answer = bench.ask("enrol", *words)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.processes
def test_it_leaves_a_running_cart_its_camera(bench: Bench, programs: Programs) -> None:
    programs.start()
    until((bench.state / "status.sock").exists)
    answer = bench.ask("enrol", "00071")
    assert answer.returncode == 2
    assert "stop it" in answer.stderr


def test_a_folder_of_pictures_teaches_many_products_each_tested_against_the_others(
    bench: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for number, turns in (("00071", range(4)), ("00072", range(4, 8))):
        for turn in turns:
            assert cv2.imwrite(str(folder / f"{number}_{turn}.png"), fruit(turn)[55:185, 95:225])
    answer = bench.ask("enrol-all", str(folder))
    assert answer.returncode == 0, answer.stderr
    assert "2 of 2 products learned" in answer.stdout
    kept = {each.learned.taught.product: each.learned for each in SightFolder(bench.state).lessons()}
    assert set(kept) == {"plu:00071", "plu:00072"}
    assert kept["plu:00071"].taught.look_alikes == ("plu:00072",), "one fruit under two numbers"


def test_a_folder_with_a_file_that_is_named_after_nothing_is_refused_whole(bench: Bench, tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "00071_1.png"), fruit(1))
    assert cv2.imwrite(str(tmp_path / "apple.png"), fruit(2))
    answer = bench.ask("enrol-all", str(tmp_path))
    assert answer.returncode == 2
    assert "apple: " in answer.stderr
    assert SightFolder(bench.state).lessons() == []


def test_sight_lists_the_names_for_the_price_book(bench: Bench) -> None:
    answer = bench.ask("sight", "--json")
    assert answer.returncode == 0, answer.stderr
    assert "Granny-Smith" in json.loads(answer.stdout)["names"]
