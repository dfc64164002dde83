"""`cart-firmware recording` and `cart-firmware replay`: what they say, draw and refuse."""

import asyncio
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np

from cart_firmware.core import recording
from cart_firmware.core.recording import Bundle, Decided, SegmentWriter, read_segment
from cart_firmware.devices.segment_ring import read
from cart_firmware.screen.drawing import Box, Drawing, Line, Photograph, Words, png, svg
from cart_firmware.screen.drawn_apart import drawn_apart
from cart_firmware.screen.timeline import Timeline
from cart_firmware.services.replay import replay
from tests.cart_firmware.corner_shop import SESSION

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).parent / "recordings" / "format-1.cartset"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cart_firmware", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def kept_in(state: Path) -> Path:
    """Lay a recording into a cart's state folder as the cart itself would; return its configuration."""
    folder, bundle = state / "recording", read(RECORD)
    folder.mkdir(parents=True)
    for name, data in bundle.segments.items():
        (folder / name).write_bytes(data)
    config = state.parent / "cart.toml"
    config.write_text(f"""
state = "{state}"
price_book_key = "key"
[identity]
cart = "c1"
store = "s1"
phone_page = "https://shop.example/phone"
[broker]
host = "127.0.0.1"
authority = "a"
certificate = "c"
key = "k"
""")
    return config


def with_a_decision_less(path: Path) -> Path:
    """Write the record with what was decided on the first scan struck out, by an older version."""
    bundle = read(RECORD)
    name = max(bundle.segments, key=lambda each: len(bundle.segments[each]))
    segment = read_segment(bundle.segments[name], name)
    place = next(
        place for place, each in enumerate(segment.entries) if isinstance(each, Decided) and each.kind == "Seen"
    )
    entry = segment.entries[place]
    assert isinstance(entry, Decided)
    segment.entries[place] = msgspec.structs.replace(entry, events=())
    writer, header = SegmentWriter(), msgspec.structs.replace(segment.header, software="cart-firmware 0.0.9")
    data = writer.begin(header) + writer.chunk(segment.entries)
    path.write_bytes(recording.bundled(Bundle(bundle.segments | {name: data}, bundle.texts)))
    return path


def test_a_saved_record_is_replayed_and_drawn(tmp_path: Path) -> None:
    done = run("replay", RECORD, "--session", SESSION, "--svg", tmp_path / "t.svg", "--png", tmp_path / "t.png")
    assert done.stderr == ""
    assert "conversions: " in done.stdout
    assert "“Milk is in the cart.”" in (tmp_path / "t.svg").read_text(encoding="utf-8")
    picture = cv2.imread(str(tmp_path / "t.png"))
    assert picture is not None
    assert picture.shape[1] == 2 * 1_240


def test_a_record_is_drawn_apart_and_one_that_cannot_be_is_sent_without(tmp_path: Path) -> None:
    picture = asyncio.run(drawn_apart(RECORD.read_bytes()))
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[1] == 2 * 1_240
    differs = with_a_decision_less(tmp_path / "older.cartset")
    assert asyncio.run(drawn_apart(differs.read_bytes())).startswith(b"\x89PNG")
    assert asyncio.run(drawn_apart(b"no record")) == b""


def test_a_difference_is_told_with_time_and_version_and_is_exit_status_one(tmp_path: Path) -> None:
    done = run("replay", with_a_decision_less(tmp_path / "odd"))
    assert done.returncode == 1
    assert "decision, Seen (decided otherwise by version cart-firmware 0.0.9)" in done.stdout
    assert "recorded: nothing\n    replayed: " in done.stdout
    assert "Milk" in done.stdout
    assert "differences" in done.stdout.splitlines()[-1]


def test_what_is_no_record_or_of_another_format_is_exit_status_two(tmp_path: Path) -> None:
    other, nothing = tmp_path / "other", tmp_path / "nothing"
    other.write_bytes(recording.MAGIC + b"\x63" + bytes(30))
    nothing.write_text("a letter to the manager")
    for path, said in (
        (other, "recorded in format 99"),
        (nothing, "is no record of a cart"),
        (tmp_path / "x", "No such"),
    ):
        done = run("replay", path)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_the_sessions_of_a_cart_are_listed_saved_and_erased(tmp_path: Path) -> None:
    config, saved = kept_in(tmp_path / "state"), tmp_path / "saved"
    listed = json.loads(run("recording", "--config", config, "--json").stdout)["segments"]
    assert [each["session"] for each in listed] == [None, None, SESSION, None]
    assert "segment-000003.cart" in run("recording", "--config", config).stdout
    assert run("recording", "--config", config, "--session", SESSION, "--save", saved).returncode == 0
    assert len(read(saved).segments) == 1
    done = run("recording", "--config", config, "--session", SESSION, "--erase")
    assert done.stdout.startswith("1 segments erased")
    gone = run("recording", "--config", config, "--session", SESSION, "--save", saved)
    assert gone.returncode == 2
    assert "nothing is recorded of that, or not any more" in gone.stderr


# ── the picture ──


def test_the_timeline_tells_what_happened_in_the_words_of_the_screen() -> None:
    timeline = Timeline(dt.UTC)
    replay(read(RECORD), timeline.saw)
    told = [row.text for row in timeline.rows]
    for text in (
        "A shopper takes the cart",
        "The scale: 1.033 kg put in",
        "On the bill: Milk, 1.033 kg, €1.29. “Milk is in the cart.”",
        "The cart asks: “Something of about 250 g was put in. Please scan it, or take it out again.”",
        "Given up: “Gum was scanned but not put in. It is not on your bill.”",
        "On the screen: take out Milk",
        "Off the bill: Milk, 1.033 kg. “Milk was taken off your list.”",
        "A reading could not be used: SilentError",
    ):
        assert text in told
    assert [row.wall_ms for row in timeline.rows] == sorted(row.wall_ms for row in timeline.rows)
    marks = timeline.drawing().marks
    assert [each for each in marks if isinstance(each, Photograph)]
    words = {each.text for each in marks if isinstance(each, Words)}
    assert {"00:00:10", "2 kg", "Cart c1, session s1"} <= words


def test_both_pictures_show_the_same_marks() -> None:
    made = Drawing(
        100,
        60,
        (Box((10, 10), (20, 20), "ff0000"), Line(((50, 30), (90, 30)), "0000ff", 4), Words((40, 55), "<&>", 12)),
    )
    assert '<rect x="10.0" y="10.0" width="20.0" height="20.0" fill="#ff0000"/>' in svg(made)
    assert "&lt;&amp;&gt;</text>" in svg(made)
    picture = cv2.imdecode(np.frombuffer(png(made), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (120, 200, 3)
    assert picture[40, 40].tolist() == [0, 0, 255]
    assert picture[60, 140].tolist() == [255, 0, 0]
    assert picture[80:118, 78:140].min() < 128


def test_a_record_of_nothing_makes_an_empty_picture() -> None:
    assert png(Timeline(dt.UTC).drawing())[:4] == b"\x89PNG"
