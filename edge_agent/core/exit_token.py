"""The exit token: 128 signed bytes in a QR code that say which paid order may leave, and what it must weigh.

Layout (big-endian), 64 bytes, then an Ed25519 signature over them:

    version 1 | key 1 | store 4 | token 16 | order 16 | issued 6 | ttl 2 |
    mass 4 | variance 6 | tags 1 | amount 4 | currency 3

As base45 that is 192 characters, which fit a version-6 QR code (41 modules, level L: 195 alphanumeric characters,
ISO/IEC 18004 table 7). Signing and verifying are handed in: the key lives outside. Reading needs no server.
"""

import hashlib
import struct
from collections.abc import Callable

import msgspec

from cart_protocol.base45 import Base45Error, decode, encode
from cart_protocol.ids import OrderId, StoreId, TokenId
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money

VERSION = 1
SIGNATURE_BYTES = 64
_LAYOUT = struct.Struct(">BB4s16s16s6sHI6sBI3s")
TOKEN_BYTES = _LAYOUT.size + SIGNATURE_BYTES

Sign = Callable[[bytes], bytes]
"""Signs a payload; returns 64 bytes."""
Verify = Callable[[bytes, bytes], bool]
"""Tells whether the second argument is our signature of the first."""


class ExitTokenError(Exception):
    """A token that opens no gate.

    ExitTokenError
    ├── MalformedTokenError   not a token of ours at all
    ├── ForgedError           looks like one, but our key never signed it
    ├── WrongStoreError       signed by us for another store
    ├── ExpiredError          too old
    └── UsedError             has already let somebody out
    """


class MalformedTokenError(ExitTokenError):
    """Wrong alphabet, length or version."""


class ForgedError(ExitTokenError):
    """The signature does not belong to the payload."""


class WrongStoreError(ExitTokenError):
    """A genuine token of another store."""


class ExpiredError(ExitTokenError):
    """Past its time; a paid order gets a new one from its phone page."""


class UsedError(ExitTokenError):
    """Burned by an earlier passage. Raised by whoever keeps the burned set."""


class UnsignableClaimsError(ValueError):
    """Claims that do not fit the layout: a bug in whoever issues."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What the token says. Times are the agent's wall clock in Unix milliseconds; `ttl_s` is at most 65,535."""

    store: StoreId
    token: TokenId
    """32 hexadecimal digits, as IdMint.uuid makes them; likewise `order`."""
    order: OrderId
    issued_ms: int
    ttl_s: int
    mass: Mass
    """Expected mass of the goods."""
    variance: Variance
    """Of `mass`, without the exit scale's own error."""
    tags: int
    """How many EAS tags the lane must deactivate."""
    amount: Money
    """What was paid."""
    key: int = 0
    """Which of the store's keys signed, for the day it is changed."""

    @property
    def expires_ms(self) -> int:
        """First millisecond at which the token is no longer valid."""
        return self.issued_ms + self.ttl_s * 1_000


def issue(claims: Claims, sign: Sign) -> str:
    """Return the text of the token, 192 characters of the QR alphanumeric set.

    Raises:
        UnsignableClaimsError: a value does not fit its field.
    """
    payload = _pack(claims)
    return encode(payload + sign(payload))


def read(text: str, verify: Verify, now_ms: int, store: StoreId) -> Claims:
    """Return what a token says once it has proved to be ours, for this store and fresh. It cannot say if it was used.

    Raises:
        MalformedTokenError, ForgedError, WrongStoreError, ExpiredError: checked in this order.
    """
    payload, signature = _split(text)
    if not verify(payload, signature):
        raise ForgedError("exit token: the signature is not ours")
    claims, fingerprint = _unpack(payload, store)
    if fingerprint != _fingerprint(store):
        raise WrongStoreError(f"exit token {claims.token}: issued by another store than {store}")
    if now_ms >= claims.expires_ms:
        late_s = (now_ms - claims.expires_ms) // 1_000
        raise ExpiredError(f"exit token {claims.token}: expired {late_s} s ago; the phone page issues a new one")
    return claims


def looks_like_token(text: str) -> bool:
    """Tell a token from an order number by its length alone, before any cryptography."""
    return len(text) > TOKEN_BYTES


def _split(text: str) -> tuple[bytes, bytes]:
    try:
        token = decode(text)
    except Base45Error as error:
        raise MalformedTokenError(f"exit token: {error}") from error
    if len(token) != TOKEN_BYTES:
        raise MalformedTokenError(f"exit token: {len(token)} bytes, expected {TOKEN_BYTES}")
    if token[0] != VERSION:
        raise MalformedTokenError(f"exit token: version {token[0]}, this lane reads version {VERSION}")
    return token[: _LAYOUT.size], token[_LAYOUT.size :]


def _pack(claims: Claims) -> bytes:
    try:
        return _LAYOUT.pack(
            VERSION,
            claims.key,
            _fingerprint(claims.store),
            _uuid_bytes(claims.token),
            _uuid_bytes(claims.order),
            claims.issued_ms.to_bytes(6),
            claims.ttl_s,
            claims.mass,
            claims.variance.to_bytes(6),
            claims.tags,
            claims.amount.minor,
            _currency_bytes(claims.amount.currency),
        )
    except (struct.error, OverflowError, ValueError) as error:
        raise UnsignableClaimsError(f"exit token for order {claims.order}: {error}") from error


def _unpack(payload: bytes, store: StoreId) -> tuple[Claims, bytes]:
    _, key, fingerprint, token, order, issued, ttl_s, mass, variance, tags, minor, currency = _LAYOUT.unpack(payload)
    claims = Claims(
        store=store,
        token=TokenId(token.hex()),
        order=OrderId(order.hex()),
        issued_ms=int.from_bytes(issued),
        ttl_s=ttl_s,
        mass=Mass(mass),
        variance=Variance(int.from_bytes(variance)),
        tags=tags,
        amount=Money(minor, currency.decode("ascii")),
        key=key,
    )
    return claims, fingerprint


def _uuid_bytes(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 16 or value.hex() != text:
        raise ValueError(f"id {text!r} is not 32 lower-case hexadecimal digits")
    return value


def _currency_bytes(currency: str) -> bytes:
    if len(currency) != 3 or not currency.isascii():
        raise ValueError(f"currency {currency!r} is not three letters of ISO 4217")
    return currency.encode("ascii")


def _fingerprint(store: StoreId) -> bytes:
    """Four bytes of the store's name: enough to tell stores of one chain apart; the signature guards the rest."""
    return hashlib.sha256(store.encode()).digest()[:4]
