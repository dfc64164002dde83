"""The store's signature, and the cart's way of checking it."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.host.signature import KeyFileError, Verifier
from edge_agent.devices.authority import Authority
from edge_agent.devices.signature import SIGNATURE_BYTES, Signer

# RFC 8032, section 7.1, test 2.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
MESSAGE = bytes.fromhex("72")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(SECRET))


def test_the_signature_is_that_of_rfc_8032(signer: Signer) -> None:
    assert signer.sign(MESSAGE) == SIGNATURE
    assert len(SIGNATURE) == SIGNATURE_BYTES
    assert signer.verifier.verify(MESSAGE, SIGNATURE)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_one_changed_bit_is_noticed(signer: Signer, message: bytes, data: st.DataObject) -> None:
    signature = signer.sign(message)
    signed = bytearray(message + signature)
    signed[data.draw(st.integers(0, len(signed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not signer.verifier.verify(bytes(signed[: len(message)]), bytes(signed[len(message) :]))


@given(st.binary(max_size=200))
def test_garbage_is_no_signature(signer: Signer, garbage: bytes) -> None:
    assert not signer.verifier.verify(MESSAGE, garbage)


def test_a_key_is_kept_private_and_comes_back(tmp_path: Path) -> None:
    made = Signer.create(tmp_path / "signing.key")
    assert stat.S_IMODE((tmp_path / "signing.key").stat().st_mode) == 0o600
    assert Signer.load(tmp_path / "signing.key").sign(MESSAGE) == made.sign(MESSAGE)


def test_the_cart_checks_with_the_public_key_alone(tmp_path: Path) -> None:
    signer = Signer.create(tmp_path / "signing.key")
    (tmp_path / "signing.pem").write_bytes(signer.verifier.pem())
    signature = signer.sign(MESSAGE)
    on_cart = Verifier.load(tmp_path / "signing.pem")
    assert on_cart.verify(MESSAGE, signature)
    assert not on_cart.verify(MESSAGE + b"!", signature)
    assert not on_cart.verify(MESSAGE, b"")
    assert on_cart.key_id == signer.key_id
    assert 0 <= signer.key_id <= 255


def test_an_old_key_is_never_overwritten(tmp_path: Path) -> None:
    Signer.create(tmp_path / "signing.key")
    with pytest.raises(KeyFileError, match="move the old key away first"):
        Signer.create(tmp_path / "signing.key")


def test_files_that_hold_no_such_key_say_so(tmp_path: Path, authority: Authority, signer: Signer) -> None:
    torn = tmp_path / "torn.pem"
    torn.write_text("-----BEGIN")
    other = authority.issue("c-with-other-key", "cart").key
    foreign_public = tmp_path / "foreign.pem"
    key = serialization.load_pem_private_key(other.read_bytes(), password=None)
    foreign_public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="name an existing key file"):
        Signer.load(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="not an unencrypted private key"):
        Signer.load(torn)
    with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
        Signer.load(other)
    with pytest.raises(KeyFileError, match="cannot be read"):
        Verifier.load(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="not a public key in PEM"):
        Verifier.load(torn)
    with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
        Verifier.load(foreign_public)
    assert signer.verifier.pem().startswith(b"-----BEGIN PUBLIC KEY-----")
