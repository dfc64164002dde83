"""The stories that a shopper may choose from, in a shopper's words. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cart_firmware.core.hypotheses import (
    Arrived,
    CameBack,
    Cancelled,
    Hypothesis,
    Left,
    Recognised,
    Several,
    Story,
    Swapped,
    TareIn,
    TareOut,
)
from cart_protocol.basket import Basket
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, shown
from cart_protocol.pricing.price_book import Prices


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `what` was moved, `how` says which way; `key` names the story (core.touch.Choose)."""

    key: str
    what: str
    how: str
    picture: str = ""
    """Name of the product's picture; of the first, where the story moves several."""


def tiles(choices: Sequence[Hypothesis], basket: Basket, prices: Prices | None) -> tuple[Tile, ...]:
    """Return a tile for each story, in the order of the choices. The mass tells those of the same words apart."""
    said = [_words(each.story, basket, prices) for each in choices]
    return tuple(
        Tile(
            key=choice.key,
            what=what,
            how=f"{_moved(choice)} {how}" if said.count((what, how)) > 1 else how,
            picture=_picture(choice.story, basket, prices),
        )
        for choice, (what, how) in zip(choices, said, strict=True)
    )


def _words(story: Story, basket: Basket, prices: Prices | None) -> tuple[str, str]:
    say, how = _WORDS[type(story)]
    return say(story, basket, prices), how


def _moved(choice: Hypothesis) -> str:
    return shown(Mass(abs(sum(question.mass for question in choice.questions))))


def picture_of(product: ProductId, prices: Prices | None) -> str:
    """Return the name of a product's picture; empty where there is none."""
    known = prices.find(product) if prices else None
    return known.picture if known else ""


def _picture(story: Story, basket: Basket, prices: Prices | None) -> str:
    match story:
        case Arrived(scans=(scan, *_)) | Several(scan=scan) | Swapped(scan=scan):
            product = basket.pending[scan].product
        case Left(lines=(line, *_)):
            product = basket.lines[line].product
        case CameBack(taken=taken):
            product = taken.line.product
        case Recognised(product=product):
            pass
        case _:
            return ""
    return picture_of(product, prices)


def _arrived(story: Arrived, basket: Basket, _prices: Prices | None) -> str:
    return _listed([basket.pending[scan].name for scan in story.scans])


def _several(story: Several, basket: Basket, _prices: Prices | None) -> str:
    return f"{story.further + 1} \N{MULTIPLICATION SIGN} {basket.pending[story.scan].name}"


def _swapped(story: Swapped, basket: Basket, _prices: Prices | None) -> str:
    return f"{basket.pending[story.scan].name} for {basket.lines[story.line].name}"


def _left(story: Left, basket: Basket, _prices: Prices | None) -> str:
    return _listed([basket.lines[line].name for line in story.lines])


def _recognised(story: Recognised, _basket: Basket, prices: Prices | None) -> str:
    product = prices.find(story.product) if prices else None
    name = product.name if product else story.product
    return name if len(story.masses) == 1 else f"{len(story.masses)} \N{MULTIPLICATION SIGN} {name}"


_CONTAINER = "My own container"
_WORDS: dict[type[Story], tuple[Callable[[Any, Basket, Prices | None], str], str]] = {
    Arrived: (_arrived, "put in"),
    Several: (_several, "put in"),
    Swapped: (_swapped, "exchanged"),
    CameBack: (lambda story, *_: story.taken.line.name, "put back"),
    Left: (_left, "taken out"),
    TareIn: (lambda *_: _CONTAINER, "put in"),
    TareOut: (lambda *_: _CONTAINER, "taken out"),
    Recognised: (_recognised, "put in"),
    Cancelled: (lambda *_: "Nothing", "all is as before"),
}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
