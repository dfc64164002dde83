"""Gives carts the pictures of products that they ask for: each cart a few a second, so that no cart floods the shop."""

from collections.abc import Mapping

from cart_protocol.host.clock import Clock
from cart_protocol.ids import CartId
from cart_protocol.messages import PicturesWanted, ProductPicture
from cart_protocol.product_picture import MOST_AT_ONCE
from edge_agent.ports import CartLink

_APART_US = 500_000
"""Between two questions of one cart that are answered; an honest cart leaves twice as much."""


class HandOutPictures:
    """Answers from `pictures`, by their names. What is not there, and who asks too often, gets no answer."""

    def __init__(self, link: CartLink, pictures: Mapping[str, bytes], clock: Clock) -> None:
        self._link, self._pictures, self._clock = link, pictures, clock
        self._answered_us: dict[CartId, int] = {}

    def wanted(self, cart: CartId, message: PicturesWanted) -> None:
        """Send what a cart wants, at most MOST_AT_ONCE pictures. A repeated question is answered again."""
        found = [self._pictures[name] for name in message.pictures[:MOST_AT_ONCE] if name in self._pictures]
        now_us = self._clock.monotonic_us()
        if not found or now_us - self._answered_us.get(cart, -_APART_US) < _APART_US:
            return
        self._answered_us[cart] = now_us
        for content in found:
            self._link.send(ProductPicture(data=content), cart)
