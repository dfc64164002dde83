"""The store's own signature (Ed25519, RFC 8032) on price books and exit tokens."""

import hashlib
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.devices.private_file import write_public, write_secret

SIGNATURE_BYTES = 64


class SigningKeyError(Exception):
    """A key file cannot be used; the text says which and what to do."""


class Verifier:
    """One Ed25519 public key: says whether the store signed something. Works with every server down."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(raw).digest()[0]
        """One byte that tells keys of one store apart while they are rotated: first of the key's SHA-256."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the verifier of a public key in PEM.

        Raises:
            SigningKeyError: there is no Ed25519 public key in it.
        """
        try:
            key = serialization.load_pem_public_key(_read(path))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SigningKeyError(f"{path}: not a public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SigningKeyError(f"{path}: holds a {type(key).__name__}, not an Ed25519 public key")
        return cls(key)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether exactly these bytes were signed with the key."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def write(self, path: Path) -> None:
        """Write the public key as PEM, for carts and lanes; everybody may read it."""
        write_public(path, self.pem())


class Signer:
    """The private key. Signing the same bytes twice gives the same signature."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(key.public_key())
        self.key_id = self.verifier.key_id

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key, keep it at `path` with mode 0600 and return its signer.

        Raises:
            SigningKeyError: a file is there already; an old key is never overwritten.
        """
        if path.exists():
            raise SigningKeyError(f"{path}: exists; move the old key away first, carts still trust it")
        key = Ed25519PrivateKey.generate()
        write_secret(path, _private_pem(key))
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the signer of a private key in PEM.

        Raises:
            SigningKeyError: there is no Ed25519 private key in it.
        """
        try:
            key = serialization.load_pem_private_key(_read(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SigningKeyError(f"{path}: not an unencrypted private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"{path}: holds a {type(key).__name__}, not an Ed25519 private key")
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of signature."""
        return self._key.sign(message)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningKeyError(f"{path}: cannot be read ({error.strerror}); name an existing key file") from error


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
