"""A price book is taken over only as the store signed it, whole, and never an older one."""

import base64
import binascii
from collections.abc import Callable

import msgspec

from cart_protocol.messages import PriceBookIssue
from cart_protocol.pricing.price_book import PriceBook, Prices

Verify = Callable[[bytes, bytes], bool]
"""Message and signature to whether the store signed exactly this message."""


class PriceBookRefusedError(Exception):
    """An issue that is not used; the text says why."""


def accept(issue: PriceBookIssue, verify: Verify, *, newer_than: int) -> Prices:
    """Return the prices of an issue.

    Raises:
        PriceBookRefusedError: it is not newer, not signed by our store, or contradicts itself.
    """
    if issue.version <= newer_than:
        raise PriceBookRefusedError(f"version {issue.version} is not newer than {newer_than}")
    signed = issue.book.encode()
    try:
        signature = base64.b64decode(issue.signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PriceBookRefusedError(f"version {issue.version}: the signature is not base64") from error
    if not verify(signed, signature):
        raise PriceBookRefusedError(f"version {issue.version}: not signed by our store")
    try:
        book = msgspec.json.decode(signed, type=PriceBook)
    except msgspec.DecodeError as error:
        raise PriceBookRefusedError(f"version {issue.version}: {error}") from error
    return Prices(_checked(book, issue.version))


def _checked(book: PriceBook, version: int) -> PriceBook:
    """Return the book, or refuse one that would fail at the shelf."""
    if book.version != version:
        raise PriceBookRefusedError(f"version {version}: the signed book says {book.version}")
    classes = {tax_class.code for tax_class in book.tax_classes}
    for product in book.products:
        if product.tax_class not in classes:
            raise PriceBookRefusedError(
                f"version {version}: {product.id} has the unknown tax class {product.tax_class}"
            )
        if product.price.currency != book.currency:
            raise PriceBookRefusedError(f"version {version}: {product.id} is not priced in {book.currency}")
    return book
