"""What the documents say is so: names exist, links lead somewhere, generated pages are those of this code."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
import yaml

import cart_firmware.config
import edge_agent.config
from cart_protocol import messages, topics
from cart_protocol.basket import CartEvent
from cart_protocol.host.configuration import read
from edge_agent.core.lane_sequence import REFUSED, TABLE, LaneEvent, LaneState, step
from edge_agent.store import price_book_file

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROOMS = (
    "cart_protocol", "cart_firmware", "edge_agent", "sim", "models", "systemd", "scripts", "tests", "docs", ".ci",
)  # fmt: skip
TOP_FILES = ("pyproject.toml", "constraints.txt", ".gitignore", ".pre-commit-config.yaml", "LICENSE")

NO_PART = {
    "cart_firmware": {
        "accelerometers": "opens the configured one",
        "blocking_camera": "what cameras with blocking libraries share",
        "camera_settings": "what was asked of a camera beside what it does",
        "picture": "a camera's picture before it is a frame",
        "picture_folder": "files, no hardware",
        "calibration_file": "a file, no hardware",
        "cameras": "opens the configured one",
        "converter": "what all converters share",
        "hx711": "what all wirings of an HX711 share",
        "i2c": "what all parts on I2C share",
        "load_cells": "opens the configured one",
        "newest_frame": "what all cameras share",
        "segment_ring": "files, no hardware",
        "sight_files": "files, no hardware",
        "whole_file": "a file, no hardware",
    },
    "edge_agent": {
        "authority": "certificates, no hardware",
        "gpio": "what all devices on pins share",
        "lanes": "opens the configured ones",
        "mosquitto": "the broker's files, no hardware",
        "private_file": "files, no hardware",
        "serial_port": "what all devices on serial lines share",
        "signature": "keys, no hardware",
        "store_folder": "files, no hardware",
    },
}
"""Modules in `devices` that drive no part of their own, and why; every other one stands in docs/devices.yaml."""


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


# ── names of code ────────────────────────────────────────────────────────────────────────────────────────────────

_SYMBOL = re.compile(r"`([\w./-]+\.py):([A-Za-z_][\w.]*)`")


def missing_symbols(text: str) -> list[str]:
    """Return the `path.py:Symbol` names in a text that the code does not have."""
    return [f"{path}:{symbol}" for path, symbol in _SYMBOL.findall(text) if symbol not in defined_in(ROOT / path)]


def defined_in(path: Path) -> set[str]:
    """Return what a module defines: 'name', 'Class', 'Class.member'."""
    return set(definitions(ast.parse(path.read_text(encoding="utf-8")).body)) if path.exists() else set()


def definitions(body: list[ast.stmt], scope: str = "") -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name):
                yield scope + name
                yield from definitions(statement.body, f"{scope}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield scope + name
            case ast.Assign(targets=targets):
                yield from (scope + target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield scope + name


def test_every_name_in_the_code_overview_exists() -> None:
    text = (DOCS / "CODE_OVERVIEW.md").read_text(encoding="utf-8")
    assert len(_SYMBOL.findall(text)) > 50, "the overview follows the apple by real names"
    assert missing_symbols(text) == []


def test_a_name_that_is_gone_is_found() -> None:
    text = "`cart_protocol/basket.py:evolve` `cart_protocol/basket.py:devolve` `cart_protocol/gone.py:evolve`"
    assert missing_symbols(text) == ["cart_protocol/basket.py:devolve", "cart_protocol/gone.py:evolve"]


_PATH = re.compile(rf"`((?:{'|'.join(re.escape(room) for room in ROOMS)})(?:/[\w.*/-]*)?)(?:[: ][^`]*)?`")


def missing_paths(text: str) -> list[str]:
    """Return the paths into our rooms that a text names and that do not exist; NNNN stands for any number."""
    return [path for path in _PATH.findall(text) if not any(ROOT.glob(path.replace("NNNN-title", "*").rstrip("/")))]


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_path_a_page_names_exists(page: Path) -> None:
    assert missing_paths(prose(page)) == []


def test_a_path_that_is_gone_is_found() -> None:
    assert missing_paths("`scripts/demo --trips 2`, `scripts/lost`, `docs/`, `sim/gone.py`, `and/or`") == [
        "scripts/lost",
        "sim/gone.py",
    ]


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to a file or a heading that is not there; addresses elsewhere are not visited."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in links if not re.match(r"[a-z]+:", link) and not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not heading or heading in headings(target))


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](gone.md) [e](https://x.example)\n")
    assert broken_links(page) == ["#three", "gone.md"]


# ── documents made from the code ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def document() -> ModuleType:
    """Return scripts/document.py as a module."""
    spec = importlib.util.spec_from_file_location("document", ROOT / "scripts" / "document.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_documents_are_those_of_this_code() -> None:
    check = subprocess.run(
        [sys.executable, "scripts/document.py", "--check"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (check.returncode, check.stderr) == (0, "")


def test_a_stale_or_missing_document_is_found(document: ModuleType, tmp_path: Path) -> None:
    for name in document.DOCUMENTS:
        shutil.copy(DOCS / name, tmp_path)
    assert stale(tmp_path) == "[]"
    (tmp_path / "LANE.md").unlink()
    with (tmp_path / "TOPICS.md").open("a", encoding="utf-8") as topics_page:
        topics_page.write("and more\n")
    assert stale(tmp_path) == "['TOPICS.md', 'LANE.md']"


def stale(folder: Path) -> str:
    """Ask in a process of its own, as `scripts/document` is one.

    Python's typing remembers unions by their members in any order, so that a type which another test made of the same
    members decides how ours are written from then on.
    """
    asked = "from pathlib import Path; import document, sys; print(document.stale(Path(sys.argv[1])))"
    answer = subprocess.run(
        [sys.executable, "-c", asked, str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f".{os.pathsep}scripts"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return answer.stdout.strip()


def test_every_message_and_every_cart_event_has_its_section() -> None:
    told = headings(DOCS / "TOPICS.md")
    kinds = [*messages.Message.__args__, *CartEvent.__args__]
    assert {kind.__name__.lower() for kind in kinds} <= told
    assert {row.message for row in topics.TABLE} <= set(kinds)


@pytest.mark.parametrize(
    ("number", "settings"), [(0, cart_firmware.config.Settings), (1, edge_agent.config.Settings)], ids=["cart", "edge"]
)
def test_the_example_files_can_be_used_and_name_every_key(
    number: int, settings: type[msgspec.Struct], tmp_path: Path
) -> None:
    text = (DOCS / "CONFIGURATION.md").read_text(encoding="utf-8")
    example = re.findall(r"^```toml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)[number]
    file = tmp_path / "example.toml"
    file.write_text(example, encoding="utf-8")
    read(file, settings)
    named_tables = {key for key, value in tomllib.loads(example).items() if isinstance(value, dict | list)}
    assert set(settings.__struct_fields__) == named_tables | {
        key for key in settings.__struct_fields__ if re.search(rf"^{key} = ", example, flags=re.MULTILINE)
    }


def test_every_key_has_its_meaning() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (.*) \|$", (DOCS / "CONFIGURATION.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) > 50
    assert [key for key, told in rows if not told] == []


def test_the_price_books_page_tells_every_key_and_its_example_can_be_used(tmp_path: Path) -> None:
    text = (DOCS / "PRICE_BOOK.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    file = tmp_path / "price_book.toml"
    file.write_text(example, encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    assert len(price_book_file.read_price_book(file).products) == 2
    kinds = [kind for name, kind in vars(price_book_file).items() if name.startswith("_") and isinstance(kind, type)]
    written = {key for kind in kinds if issubclass(kind, msgspec.Struct) for key in kind.__struct_fields__}
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == written - {"product", "label", "recall"}
    assert set(re.findall(r"\b\w+(?= = )", example)) == written - {"product", "label", "recall"}
    assert all(f"`{allergen}`" in text for allergen in price_book_file.ALLERGENS)


def test_the_lane_page_lists_exactly_what_happens_and_what_is_refused() -> None:
    text = (DOCS / "LANE.md").read_text(encoding="utf-8")
    moves, refusals = (
        re.findall(r"^\| ([a-z, -]+) \| ([a-z, -]+) \|", text.split(f"## {title}\n")[1].split("\n## ")[0], re.MULTILINE)
        for title in ("The table", "What changes nothing")
    )
    refused = [(state, event) for event, states in refusals[2:] for state in states.split(", ")]
    assert moves[2:] == list(TABLE)
    assert sorted(refused) == sorted(REFUSED)


def test_what_the_lane_page_says_of_every_state_is_so() -> None:
    for state in LaneState:
        assert step(state, LaneEvent.TAG_ALARM).state is LaneState.TAG_ALARM
        alarmed = state in (LaneState.FAILED, LaneState.TAG_ALARM)
        assert step(state, LaneEvent.DEVICE_LOST).state is (state if alarmed else LaneState.OUT_OF_ORDER)


# ── devices ──────────────────────────────────────────────────────────────────────────────────────────────────────


def verified() -> dict[str, dict[str, object]]:
    rooms = yaml.safe_load((DOCS / "devices.yaml").read_text(encoding="utf-8"))
    return {device: claims for devices in rooms.values() for device, claims in devices.items()}


def drivers() -> set[str]:
    return {
        module.stem
        for package, others in NO_PART.items()
        for module in (ROOT / package / "devices").glob("*.py")
        if module.stem != "__init__" and module.stem not in others
    }


def test_every_driver_says_what_it_was_verified_on() -> None:
    assert set(verified()) == drivers()


@pytest.mark.parametrize("package", NO_PART)
def test_what_is_excused_from_it_still_exists(package: str) -> None:
    modules = {module.stem for module in (ROOT / package / "devices").glob("*.py")}
    assert set(NO_PART[package]) <= modules


def test_each_claim_is_one_of_three_and_names_evidence_that_exists() -> None:
    for device, claims in verified().items():
        assert set(claims) == {"on_simulator", "on_vectors", "on_part"}, device
        for evidence in re.findall(r"\b(?:tests|scripts)/[\w./-]+\w", " ".join(map(str, claims.values()))):
            assert (ROOT / evidence).exists(), f"{device}: {evidence} is not there"


# ── what belongs on no machine but one ───────────────────────────────────────────────────────────────────────────

_ONE_MACHINE = re.compile(r"(?<![\w.~-])/(?:work|tmp|home|root|Users)/\w")
_PACKAGE_HOST = re.compile(r"\b(?:[\w-]+\.)*(?:pypi|pythonhosted|npmjs|jfrog|artifactory)\.\w+|--(?:extra-)?index-url")


def our_files() -> Iterator[Path]:
    """Return every text of ours; what git ignores stands elsewhere or has no readable text."""
    for path in [
        *(ROOT / name for name in TOP_FILES),
        *ROOT.glob("*.md"),
        *(p for r in ROOMS for p in (ROOT / r).rglob("*")),
    ]:
        if (
            path.is_file()
            and "__pycache__" not in path.parts
            and path.suffix not in {".png", ".jpg", ".woff2", ".tflite", ".npz", ".cartset"}
        ):
            yield path


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in our_files()
        for match in re.finditer(f"{_ONE_MACHINE.pattern}|{_PACKAGE_HOST.pattern}", path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["see /" + "work/main/x", "cd /" + "tmp/a", "https://files.python" + "hosted.org/x", "--" + "index-url y"]
)
def test_such_an_address_would_be_found(text: str) -> None:
    assert _ONE_MACHINE.search(text) or _PACKAGE_HOST.search(text)
