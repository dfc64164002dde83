"""Documents made from the code: docs/TOPICS.md, docs/CONFIGURATION.md and docs/LANE.md.

What they say is read from the types, the tables and the docstrings, so that it is true or the test fails.
"""

import argparse
import ast
import datetime as dt
import enum
import functools
import importlib
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import cart_firmware.config
import edge_agent.config
from cart_protocol import basket, codec, messages, topics
from cart_protocol.basket import CartEvent, ItemScanned
from cart_protocol.gs1.check_digit import check_digit
from cart_protocol.ids import CartId, Epoch, ProductId, ScanId, Seq, StoreId
from cart_protocol.messages import CartTime, Events, Recorded
from cart_protocol.pricing.price_book import PriceBook
from edge_agent.core import lane_sequence
from edge_agent.core.lane_sequence import Effect, LaneEvent, LaneState

ROOT = Path(__file__).resolve().parents[1]
_MADE = "<!-- Made by scripts/document from {source}. Changes made here are lost. -->"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a document is stale")
    if parser.parse_args(arguments).check:
        found = stale(ROOT / "docs")
        for name in found:
            print(f"document: docs/{name} is stale; run scripts/document", file=sys.stderr)
        return 1 if found else 0
    for name, write in DOCUMENTS.items():
        (ROOT / "docs" / name).write_text(write(), encoding="utf-8")
    return 0


def stale(folder: Path) -> list[str]:
    """Return the names of the documents in `folder` that are not what the code says, missing ones too."""
    return [name for name, write in DOCUMENTS.items() if _text_of(folder / name) != write()]


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


# ── topics and messages ──────────────────────────────────────────────────────────────────────────────────────────

_SPEAKERS = {
    topics.Direction.UP: "a cart to its store",
    topics.Direction.DOWN: "the store to one cart",
    topics.Direction.ALL: "the store to all carts",
}


_TOPICS_STORY = """\
Carts and store speak MQTT 5: one message per payload, JSON in UTF-8. `type` names the message, and within it the event
or instruction; every message bears the protocol version, now `v` = {version}. A higher `v` is refused by name; a field
nobody knows is reported and the rest is used. Retained messages are a cache, never truth. Only `Ack` clears a cart's
outbox; the broker's own acknowledgement never does.

The broker's access list is made from this table (`edge-agent init`, and after an update `edge-agent access-list`): a
cart may write its own `up` topics and read its own `down` topics and those to all carts, under the name in its
certificate, and nothing else.
"""


def topics_document() -> str:
    """Return what travels between carts and store: addresses, messages, events, and the parts they are made of."""
    spoken = [row.message for row in topics.TABLE]
    events = list(typing.get_args(CartEvent))
    others = [kind for kind in _reached([*spoken, *events, PriceBook]) if kind not in (*spoken, *events)]
    lines = [
        _MADE.format(source="cart_protocol/topics.py, messages.py and basket.py"),
        "# Topics and messages",
        "",
        *_TOPICS_STORY.format(version=messages.PROTOCOL_VERSION).splitlines(),
        "",
        "| message | topic | who says it to whom | QoS | retained | expires after |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_topic_row(row) for row in topics.TABLE),
        "",
        "On the wire:",
        "",
        "```json",
        *_example().splitlines(),
        "```",
        "",
        "## Messages",
        "",
        *(line for kind in spoken for line in _described(kind)),
        "## Cart events",
        "",
        _paragraphs(basket.__doc__ or "").split("\n")[0],
        "",
        *(line for kind in events for line in _described(kind)),
        "## Parts",
        "",
        *(line for kind in others for line in _described(kind)),
        "## Words",
        "",
        "| word | on the wire | meaning |",
        "| --- | --- | --- |",
        *_words([*spoken, *events, *others]),
    ]
    return "\n".join(lines) + "\n"


def _topic_row(row: topics.Topic) -> str:
    cart = None if row.direction is topics.Direction.ALL else CartId("CART")
    topic = topics.address(row.message, StoreId("STORE"), cart)
    age = f"{row.max_age_s} s" if row.max_age_s is not None else "never"
    retained = "yes" if row.retained else "no"
    return f"| {_link(row.message)} | `{topic}` | {_SPEAKERS[row.direction]} | {row.qos} | {retained} | {age} |"


def _example() -> str:
    """Return a message as the codec writes it, set on several lines."""
    gtin = "0400123400001"
    scanned = ItemScanned(
        scan=ScanId("01930f6e-8a1c-7c55-9d0e-5b1f0c2a7e11"),
        product=ProductId(gtin + check_digit(gtin)),
        name="Apples, 1 kg",
        text=gtin[1:] + check_digit(gtin),
        symbology="]E0",
    )
    at = CartTime(boot="6f1d", monotonic_us=812_345_678, wall_ms=1_767_225_600_000, synchronised=True)
    example = Events(epoch=Epoch(4711), events=(Recorded(seq=Seq(18), at=at, event=scanned),))
    return msgspec.json.format(codec.encode(example), indent=2).decode()


def _described(kind: type) -> list[str]:
    """Return the section of one type: what it means and its fields, or its values."""
    lines = [f"### {kind.__name__}", "", *([_paragraphs(kind.__doc__ or ""), ""] if _has_own_doc(kind) else [])]
    if issubclass(kind, enum.Enum):
        lines += ["| value | meaning |", "| --- | --- |"]
        lines += [f"| `{member.value}` | {_told(kind, member.name)} |" for member in kind]
        return [*lines, ""]
    fields = [field for field in _fields(kind) if field.name != "v"]
    if not fields:
        return [*lines, "No fields.", ""]
    lines += ["| field | type | if absent | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{field.encode_name}` | {_wire(field.type)} | {_absent(field)} | {_told(kind, field.name)} |"
        for field in fields
    ]
    return [*lines, ""]


def _fields(kind: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ()


def _reached(kinds: list[type]) -> list[type]:
    """Return every struct and enumeration that these types are made of, themselves included, in order of meeting."""
    found: dict[type, None] = {}

    def meet(kind: object) -> None:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct | enum.Enum):
            if kind in found:
                return
            found[kind] = None
            for part in _fields(kind):
                meet(part.type)
        for part in typing.get_args(kind):
            meet(part)

    for kind in kinds:
        meet(kind)
    return list(found)


def _words(kinds: list[type]) -> Iterator[str]:
    """Return a row for every NewType among the fields of these types."""
    found: dict[str, typing.NewType] = {}

    def meet(kind: object) -> None:
        if isinstance(kind, typing.NewType):
            found[kind.__name__] = kind
        for part in typing.get_args(kind):
            meet(part)

    for kind in kinds:
        for field in _fields(kind):
            meet(field.type)
    for name, word in sorted(found.items()):
        told = _docs(word.__module__).get(("", name), "")
        yield f"| {name} | {_PLAIN[word.__supertype__]} | {_cell(told)} |"


# ── types in words ───────────────────────────────────────────────────────────────────────────────────────────────

_PLAIN: dict[Any, str] = {
    str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null", Path: "path",
    dt.date: "date, YYYY-MM-DD", bytes: "bytes in base64",
}  # fmt: skip
_WIDEST = (1 << 63) - 1


def _wire(kind: object) -> str:
    """Return a type as a reader of JSON or TOML understands it."""
    if kind == CartEvent:
        return "[a cart event](#cart-events)"
    if isinstance(kind, typing.NewType):
        return f"[{kind.__name__}](#words)"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct | enum.Enum):
        return _link(kind)
    return _PLAIN.get(kind) or _made_of(typing.get_origin(kind), typing.get_args(kind))


def _made_of(origin: object, parts: tuple[Any, ...]) -> str:
    match origin:
        case typing.Annotated:
            return _wire(parts[0]) + _bounds(parts[1:])
        case typing.Union | types.UnionType:
            return " or ".join(_wire(part) for part in parts)
        case typing.Literal:
            return " or ".join(f"`{json.dumps(part)}`" for part in parts)
    if origin is tuple:
        return f"list of {_wire(parts[0])}"
    if origin is dict:
        return f"object of {_wire(parts[0])} to {_wire(parts[1])}"
    raise NotImplementedError(f"no words for a {origin} of {parts}; add them to scripts/document.py")


def _bounds(notes: tuple[Any, ...]) -> str:
    for note in notes:
        if isinstance(note, msgspec.Meta):
            most = "2^63 - 1" if note.le == _WIDEST else note.le
            return f", {note.ge} to {most}"
    return ""


def _absent(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "refused"
    made = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{msgspec.json.encode(made).decode()}`"


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


@functools.cache
def _docs(module: str) -> dict[tuple[str, str], str]:
    """Return the strings that stand below assignments, by (class, name); class is '' for those of the module."""
    source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    found: dict[tuple[str, str], str] = {}

    def read(scope: str, body: list[ast.stmt]) -> None:
        for statement, following in zip(body, [*body[1:], None], strict=True):
            match statement, following:
                case ast.ClassDef(name=name), _:
                    read(name, statement.body)
                case (
                    (ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))),
                    ast.Expr(value=ast.Constant(value=str(told))),
                ):
                    found[scope, name] = told

    read("", ast.parse(source).body)
    return found


def _told(kind: type, name: str) -> str:
    return _cell(_docs(kind.__module__).get((kind.__name__, name), ""))


def _has_own_doc(kind: type) -> bool:
    return bool(kind.__dict__.get("__doc__"))


def _paragraphs(doc: str) -> str:
    """Return a docstring with each paragraph on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.strip().split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────

_CART_EXAMPLE: dict[str, object] = {
    "identity.cart": "c1",
    "identity.store": "corner-market",
    "identity.phone_page": "https://shop.example/phone",
    "broker.host": "broker.shop.example",
    "broker.authority": "/etc/cartwright/authority.pem",
    "broker.certificate": "/etc/cartwright/c1.pem",
    "broker.key": "/etc/cartwright/c1.key",
    "state": "/var/lib/cartwright",
    "price_book_key": "/etc/cartwright/price_book.pub",
}
_EDGE_EXAMPLE: dict[str, object] = {
    "identity.store": "corner-market",
    "identity.name": "Corner Market",
    "broker.host": "127.0.0.1",
    "broker.authority": "/etc/cartwright/certificates/authority.pem",
    "broker.certificate": "/etc/cartwright/certificates/agent.pem",
    "broker.key": "/etc/cartwright/certificates/agent.key",
    "database": "sqlite:////var/lib/cartwright/store.db",
    "price_book": "/etc/cartwright/price_book.toml",
    "signing_key": "/etc/cartwright/keys/signing.key",
    "staff": "/var/lib/cartwright/staff.json",
    "lanes.lane": "lane-2",
    "lanes.scale": "8217:/dev/serial/by-path/SCALE",
    "lanes.scanner": "serial:/dev/serial/by-path/SCANNER",
}
"""Values for the keys that have no default."""


_CONFIGURATION_STORY = """\
Both programs read one TOML file, named by `--config`. An unknown key or a value of the wrong type stops the start, with
the file, the line and the remedy. A key that has a default may be left out. `edge-agent init` and
`edge-agent issue-cart` write the first files; `edge-agent check` and `cart-firmware check` say whether a file can be
used.
"""


def configuration_document() -> str:
    """Return every key of both configuration files, and a whole example of each."""
    cart, edge = cart_firmware.config.Settings, edge_agent.config.Settings
    lines = [
        _MADE.format(source="cart_firmware/config.py and edge_agent/config.py"),
        "# Configuration",
        "",
        *_CONFIGURATION_STORY.splitlines(),
        "",
        "## The cart: cart.toml",
        "",
        *_tables(cart),
        "A whole file, with every key at its default where it has one:",
        "",
        "```toml",
        *_example_file(cart, _CART_EXAMPLE),
        "```",
        "",
        "## The store: edge.toml",
        "",
        *_tables(edge),
        "A whole file, with every key at its default where it has one:",
        "",
        "```toml",
        *_example_file(edge, _EDGE_EXAMPLE),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _tables(settings: type[msgspec.Struct], name: str = "", *, many: bool = False) -> list[str]:
    """Return one table of the document per table of the file, the top of the file first."""
    heading = f"`[[{name}]]`, once for each" if many else f"`[{name}]`" if name else "At the top"
    lines = [f"### {heading}", "", "| key | type | default | what it is |", "| --- | --- | --- | --- |"]
    inner: list[str] = []
    for field in msgspec.structs.fields(settings):
        if (table := _table_of(field.type)) is not None:
            inner += _tables(table, field.name, many=typing.get_origin(field.type) is tuple)
            continue
        lines.append(
            f"| `{field.name}` | {_key_type(field.type)} | {_default(field)} | {_told(settings, field.name)} |"
        )
    return [*lines, "", *inner]


def _example_file(settings: type[msgspec.Struct], given: dict[str, object], name: str = "") -> list[str]:
    lines: list[str] = []
    inner: list[str] = []
    for field in msgspec.structs.fields(settings):
        if (table := _table_of(field.type)) is not None:
            header = f"[[{field.name}]]" if typing.get_origin(field.type) is tuple else f"[{field.name}]"
            inner += ["", header, *_example_file(table, given, f"{field.name}.")]
            continue
        value = given[name + field.name] if field.required else field.default
        # A key without a value has no way to stand in TOML.
        written = "# {} =" if value is None else f"{{}} = {json.dumps(value, ensure_ascii=False)}"
        lines.append(written.format(field.name))
    return [*lines, *inner]


def _table_of(kind: object) -> type[msgspec.Struct] | None:
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _key_type(kind: object) -> str:
    """TOML has no null: a key that may be None is one that may be left out."""
    return _wire(kind).removesuffix(" or null")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    return "none" if field.default is None else f"`{json.dumps(field.default, ensure_ascii=False)}`"


# ── the exit lane ────────────────────────────────────────────────────────────────────────────────────────────────


_LANE_STORY = """\
The lane is a table: in which state which event leads where, and what is done about it. Effects are carried out in their
order. Those that can only make the lane safer are done at once; facts are committed to the journal next; what lets
goods and people through comes last, and only if the commit succeeded.

A live tag leads to TAG_ALARM from every state. A lost device leads to OUT_OF_ORDER, except while an alarm stands: the
alarm comes first. The other moves:
"""


def lane_document() -> str:
    """Return the exit lane's states, events and effects, and the table that joins them."""
    common = {LaneEvent.TAG_ALARM, LaneEvent.DEVICE_LOST}
    moves = [
        f"    {state.name} --> {step.state.name}: {event}"
        for (state, event), step in lane_sequence.TABLE.items()
        if step.state is not state and event not in common
    ]
    lines = [
        _MADE.format(source="edge_agent/core/lane_sequence.py"),
        "# The exit lane",
        "",
        *_LANE_STORY.splitlines(),
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {LaneState.IDLE.name}",
        *moves,
        "```",
        "",
        "## The table",
        "",
        "| in | on | goes to | does |",
        "| --- | --- | --- | --- |",
        *(
            f"| {state} | {event} | {step.state} | {', '.join(step.effects)} |"
            for (state, event), step in lane_sequence.TABLE.items()
        ),
        "",
        "## What changes nothing",
        "",
        "It is counted by its reason, shown to staff, and forgotten.",
        "",
        "| on | in | because |",
        "| --- | --- | --- |",
        *_refusals(),
        "",
        *_values("States", LaneState),
        *_values("Events", LaneEvent),
        "## Effects",
        "",
        f"- At once: {_listed(lane_sequence.PROTECTIVE)}.",
        f"- In one commit: {_listed(lane_sequence.RECORDED)}.",
        f"- After the commit: {_listed(set(Effect) - lane_sequence.PROTECTIVE - lane_sequence.RECORDED)}.",
    ]
    return "\n".join(lines) + "\n"


def _refusals() -> Iterator[str]:
    """Return a row per event and reason, with exactly the states in which it is refused."""
    rows: dict[tuple[LaneEvent, str], list[str]] = {}
    for (state, event), reason in lane_sequence.REFUSED.items():
        rows.setdefault((event, reason), []).append(state)
    for event in LaneEvent:
        for (refused, reason), states in rows.items():
            if refused is event:
                yield f"| {event} | {', '.join(states)} | {reason} |"


def _values(title: str, kind: type[enum.Enum]) -> list[str]:
    told = [(member, _told(kind, member.name)) for member in kind]
    return [f"## {title}", "", *(f"- `{member.value}`{f': {text}' if text else ''}" for member, text in told), ""]


def _listed(effects: "set[Effect] | frozenset[Effect]") -> str:
    return ", ".join(effect for effect in Effect if effect in effects)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "TOPICS.md": topics_document,
    "CONFIGURATION.md": configuration_document,
    "LANE.md": lane_document,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
