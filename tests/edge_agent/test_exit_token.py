"""The exit token: what it carries comes back, and nothing else opens a gate."""

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cart_protocol.base45 import decode, encode
from cart_protocol.ids import OrderId, StoreId, TokenId
from cart_protocol.mass import Mass, Variance, grams
from cart_protocol.money import Money
from edge_agent.core.exit_token import (
    TOKEN_BYTES,
    Claims,
    ExitTokenError,
    ExpiredError,
    ForgedError,
    MalformedTokenError,
    UnsignableClaimsError,
    WrongStoreError,
    issue,
    looks_like_token,
    read,
)
from edge_agent.devices.signature import Signer

STORE = StoreId("demo")
NOW_MS = 1_760_000_000_000
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
VERIFY = SIGNER.verifier.verify
HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)


def claims(**changes: object) -> Claims:
    values: dict[str, object] = {
        "store": STORE,
        "token": TokenId("0199c82cc0007a11b2c3d4e5f6071829"),
        "order": OrderId("0199c82cbff070008000000000000001"),
        "issued_ms": NOW_MS,
        "ttl_s": 900,
        "mass": grams(4321.5),
        "variance": Variance(13_700**2),
        "tags": 2,
        "amount": Money(1_234, "EUR"),
        "key": SIGNER.key_id,
    }
    return Claims(**(values | changes))  # type: ignore[arg-type]


TEXT = issue(claims(), SIGNER.sign)


def test_what_was_issued_is_what_the_lane_reads() -> None:
    assert read(TEXT, VERIFY, NOW_MS, STORE) == claims()


def test_a_token_fits_a_version_6_code_of_41_modules_in_alphanumeric_mode() -> None:
    assert len(TEXT) == 192
    code = segno.make(TEXT, error="l", boost_error=False, micro=False)
    assert (code.version, code.mode) == (6, "alphanumeric")


def test_it_is_valid_to_the_last_millisecond_of_its_life_and_not_one_longer() -> None:
    last_ms = NOW_MS + 900_000 - 1
    assert read(TEXT, VERIFY, last_ms, STORE).expires_ms == last_ms + 1
    with pytest.raises(ExpiredError, match="expired 0 s ago"):
        read(TEXT, VERIFY, last_ms + 1, STORE)


def test_a_token_signed_with_another_key_is_forged() -> None:
    with pytest.raises(ForgedError):
        read(issue(claims(), STRANGER.sign), VERIFY, NOW_MS, STORE)


def test_a_token_of_another_store_of_the_chain_is_named_as_such() -> None:
    elsewhere = issue(claims(store=StoreId("other")), SIGNER.sign)
    with pytest.raises(WrongStoreError):
        read(elsewhere, VERIFY, NOW_MS, STORE)


def test_a_forged_token_is_called_forged_even_when_it_is_also_old() -> None:
    with pytest.raises(ForgedError):
        read(issue(claims(issued_ms=0), STRANGER.sign), VERIFY, NOW_MS, STORE)


def test_a_later_version_is_malformed_not_forged() -> None:
    token = bytearray(decode(TEXT))
    token[0] = 2
    with pytest.raises(MalformedTokenError, match="version 2"):
        read(encode(bytes(token)), VERIFY, NOW_MS, STORE)


@given(bit=st.integers(0, TOKEN_BYTES * 8 - 1))
@settings(max_examples=400, deadline=None)
def test_no_bit_can_be_changed(bit: int) -> None:
    token = bytearray(decode(TEXT))
    token[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ForgedError, MalformedTokenError)):
        read(encode(bytes(token)), VERIFY, NOW_MS, STORE)


@given(
    text=st.text(max_size=250) | st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", min_size=180, max_size=200)
)
@example("")
@example(TEXT[:-3])
@example(TEXT + TEXT)
@example(TEXT.lower())
@example("0" * 192)
@settings(max_examples=300, deadline=None)
def test_garbage_is_refused_by_a_named_error(text: str) -> None:
    with pytest.raises(ExitTokenError):
        read(text, VERIFY, NOW_MS, STORE)


FITTING = st.fixed_dictionaries(
    {
        "token": HEX,
        "order": HEX,
        "issued_ms": st.integers(0, 2**48 - 1),
        "ttl_s": st.integers(1, 65_535),
        "mass": st.integers(0, 2**32 - 1),
        "variance": st.integers(0, 2**48 - 1),
        "tags": st.integers(0, 255),
        "amount": st.builds(Money, st.integers(0, 2**32 - 1), st.sampled_from(["EUR", "KRW", "JPY"])),
        "key": st.integers(0, 255),
    }
)


@given(values=FITTING)
@settings(max_examples=150, deadline=None)
def test_every_claim_that_fits_comes_back(values: dict[str, object]) -> None:
    made = claims(**values)
    assert read(issue(made, SIGNER.sign), VERIFY, made.issued_ms, STORE) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"mass": Mass(-1)},
        {"mass": Mass(2**32)},
        {"variance": Variance(2**48)},
        {"tags": 256},
        {"ttl_s": 65_536},
        {"token": TokenId("not-hex")},
        {"order": OrderId("0199")},
        {"amount": Money(1, "EURO")},
        {"issued_ms": -1},
    ],
    ids=str,
)
def test_claims_that_do_not_fit_are_a_bug_of_the_issuer_and_raise(wrong: dict[str, object]) -> None:
    with pytest.raises(UnsignableClaimsError):
        issue(claims(**wrong), SIGNER.sign)


def test_an_order_number_is_not_taken_for_a_token() -> None:
    assert looks_like_token(TEXT)
    assert not looks_like_token("1000017")
    assert not looks_like_token("0199c82cbff070008000000000000001")
