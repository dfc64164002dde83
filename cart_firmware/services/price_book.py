"""A price book is taken over only as the store signed it, whole, and never an older one."""

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar

import msgspec

from cart_protocol.messages import PriceBookIssue
from cart_protocol.pricing.learned_mass import NOTHING_LEARNED, LearnedMasses
from cart_protocol.pricing.price_book import PriceBook, Prices

_Signed = TypeVar("_Signed")
Verify = Callable[[bytes, bytes], bool]
"""Message and signature to whether the store signed exactly this message."""


class PriceBookRefusedError(Exception):
    """An issue that is not used; the text says why."""


def accept(issue: PriceBookIssue, verify: Verify, *, present: Prices | None) -> Prices:
    """Return the prices of an issue that follow those at `present`: a newer book, or more learned of the same.

    Raises:
        PriceBookRefusedError: it is not newer, not signed by our store, or contradicts itself.
    """
    if present is not None and issue.version == present.version:
        return _learned_more(issue, verify, present)
    if present is not None and issue.version < present.version:
        raise PriceBookRefusedError(f"version {issue.version} is not newer than {present.version}")
    book = _read(issue.version, verify, issue.book, issue.signature, PriceBook)
    return Prices(_checked(book, issue.version), _learned(issue, verify))


def _learned_more(issue: PriceBookIssue, verify: Verify, present: Prices) -> Prices:
    """Return the present book with what was learned since; the prices themselves when that is nothing."""
    learned = _learned(issue, verify)
    return Prices(present.book, learned) if learned.issue > present.learned.issue else present


def _learned(issue: PriceBookIssue, verify: Verify) -> LearnedMasses:
    if not issue.learned:
        return NOTHING_LEARNED
    return _read(issue.version, verify, issue.learned, issue.learned_signature, LearnedMasses)


def _read(version: int, verify: Verify, text: str, signature: str, kind: type[_Signed]) -> _Signed:
    signed = text.encode()
    try:
        proof = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PriceBookRefusedError(f"version {version}: the signature is not base64") from error
    if not verify(signed, proof):
        raise PriceBookRefusedError(f"version {version}: not signed by our store")
    try:
        return msgspec.json.decode(signed, type=kind)
    except msgspec.DecodeError as error:
        raise PriceBookRefusedError(f"version {version}: {error}") from error


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
