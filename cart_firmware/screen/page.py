"""The page as text: a view of the cart into HTML. Which screen is shown follows from the view alone."""

from collections.abc import Container, Sequence
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cart_firmware.core.prompts import Tone
from cart_firmware.core.touch import MOST_PIECES
from cart_firmware.services.show import ScreenView
from cart_protocol.basket import Phase
from cart_protocol.pricing.price_book import Product, SoldBy

_QUIET_ZONE = 4
"""Modules (ISO/IEC 18004, section 9.1)."""


class Page:
    """Renders views. `version` stands in the addresses of the assets, so that a new one is fetched.

    Args:
        pictures: names of the pictures of products that can be shown.
    """

    def __init__(self, version: str, pictures: Container[str] = ()) -> None:
        self._version, self._pictures = version, pictures
        templates = Environment(
            loader=PackageLoader("cart_firmware.screen"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._page = templates.get_template("page.html")
        self._view = templates.get_template("view.html")
        self._found = templates.get_template("found.html")

    def whole(self, view: ScreenView, offline_since: str) -> str:
        fragment = Markup(self.fragment(view, offline_since))  # noqa: S704 - rendered, hence escaped, by the line itself
        return self._page.render(view=view, fragment=fragment, version=self._version)

    def fragment(self, view: ScreenView, offline_since: str) -> str:
        """Return what stands in the page's main part. `offline_since` is a time of day, or empty."""
        return self._view.render(
            view=view,
            screen=screen_of(view),
            lines=tuple(reversed(view.lines)),
            offline_since=offline_since,
            bind_code=bind_code(view.code_url),
            phone_page=address_of(view.code_url),
            qr=_qr(view.code_url) if view.code_url else "",
            said_total=_said(view),
            pictures=self._pictures,
            initials=initials,
            most_pieces=MOST_PIECES,
        )

    def found(self, products: Sequence[Product]) -> str:
        """Return the products to choose from, as buttons."""
        return self._found.render(
            products=products, pictures=self._pictures, initials=initials, kilogram=SoldBy.KILOGRAM
        )


def initials(name: str) -> str:
    """Return what stands for a picture where there is none: the first letters of the first two words."""
    return "".join(word[0] for word in name.split()[:2]).upper()


def screen_of(view: ScreenView) -> str:
    """Return which screen the view is shown on: 'welcome', 'shopping', 'frozen', or 'closed' out of service."""
    match view.phase:
        case Phase.SHOPPING:
            return "shopping"
        case Phase.FROZEN:
            return "frozen"
        case Phase.IDLE:
            return "welcome" if view.code_url and view.prompt.tone is not Tone.ALARM else "closed"


def bind_code(code_url: str) -> str:
    """Return the code a shopper types, as it stands in the address behind the QR."""
    return "".join(parse_qs(urlsplit(code_url).query).get("code", []))


def address_of(code_url: str) -> str:
    """Return the phone page's address as people read it: host and path."""
    parts = urlsplit(code_url)
    return (parts.netloc + parts.path).rstrip("/")


def _said(view: ScreenView) -> str:
    """Return what a screen reader says of the basket; empty when there is none."""
    if view.phase is Phase.IDLE:
        return ""
    newest = f"{view.lines[-1].name}, {view.lines[-1].total}. " if view.lines else ""
    return f"{newest}Total {view.total}"


@lru_cache(maxsize=4)
def _qr(text: str) -> Markup:
    """Return the QR symbol as an SVG element that takes the size of its box; 15 ms, hence kept."""
    symbol = segno.make(text, error="m", micro=False)
    svg: str = symbol.svg_inline(border=_QUIET_ZONE, omitsize=True, dark="#10241a", light="#ffffff")
    return Markup(svg)  # noqa: S704 - segno's own drawing; `text` is modules in it, not markup
