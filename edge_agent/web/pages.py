"""Templates into HTML: one Jinja environment that escapes everything and fails on a missing name."""

import functools
import hashlib
import mimetypes
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import msgspec
import segno
from markupsafe import Markup

_HERE = Path(__file__).parent
_QUIET_ZONE = 4
"""Modules of white around a QR symbol (ISO/IEC 18004, section 9.1)."""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    media_type: str
    digest: str
    """Part of the asset's address, so that browsers may keep it for good."""


class Pages:
    """Renders the pages of one store and holds the few files they need; nothing comes from another host."""

    def __init__(self, store_name: str) -> None:
        self.assets = {path.name: _asset(path) for path in (_HERE / "static").iterdir() if path.is_file()}
        self._jinja = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._jinja.globals.update(store=store_name, asset=self._address, qr=qr)
        self._jinja.filters.update(clock=clock, moment=moment, ago=ago, words=words, bytes=in_bytes)

    def render(self, template: str, **names: object) -> str:
        return self._jinja.get_template(template).render(**names)

    def _address(self, name: str) -> str:
        return f"/static/{name}?v={self.assets[name].digest}"


@functools.lru_cache(maxsize=512)
def qr(text: str, label: str) -> Markup:
    """Return `text` as an inline SVG QR symbol, error correction M, dark on white whatever the page's colours.

    16 ms for an exit token (reference/payments, section 4), hence remembered.
    """
    symbol = segno.make_qr(text, error="m", boost_error=False)
    svg = symbol.svg_inline(border=_QUIET_ZONE, omitsize=True, dark="#000", light="#fff", svgclass="qr")
    return Markup('<div class="qr-box" role="img" aria-label="{}">{}</div>').format(label, Markup(svg))  # noqa: S704 - segno's own SVG


def clock(at_ms: int) -> str:
    """Return the time of day at the store, '14:05'."""
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).astimezone().strftime("%H:%M")


def moment(at_ms: int) -> str:
    """Return day and time at the store, '29 November 2026, 14:05'."""
    return datetime.fromtimestamp(at_ms / 1_000, tz=UTC).astimezone().strftime("%-d %B %Y, %H:%M")


def in_bytes(size: int) -> str:
    """Return a size as people read it, '38 kB' or '1.4 MB'."""
    return f"{size / 1e6:.1f} MB" if size >= 950_000 else f"{max(1, round(size / 1e3))} kB"


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago that was, coarsely, so that a page does not change every second."""
    seconds = max(0, now_ms - then_ms) // 1_000
    if then_ms <= 0:
        return "never"
    if seconds < 15:
        return "just now"
    if seconds < 90:
        return f"{seconds // 15 * 15} s ago"
    if seconds < 5_400:
        return f"{seconds // 60} min ago"
    if seconds < 172_800:
        return f"{seconds // 3_600} h ago"
    return f"{seconds // 86_400} days ago"


def words(slug: str) -> str:
    """Return a machine word as people read it: 'load-cell-silent' is 'Load cell silent'."""
    text = slug.replace("-", " ").replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind == "application/javascript":
        kind += "; charset=utf-8"
    return Asset(body=body, media_type=kind, digest=hashlib.blake2b(body, digest_size=6).hexdigest())
