"""The store's signature on what a cart takes over, checked with the store's public key. The cart can sign nothing."""

import hashlib
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class PublicKeyError(Exception):
    """The public key file cannot be used; the text says which and what to do."""


class Verifier:
    """One Ed25519 public key (RFC 8032)."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(raw).digest()[0]
        """One byte that tells keys of one store apart while they are rotated; the same rule as the store's."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the verifier of the PEM file at `path`.

        Raises:
            PublicKeyError: there is no Ed25519 public key in it.
        """
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise PublicKeyError(
                f"{path}: cannot be read ({error.strerror}); copy the store's public key there"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PublicKeyError(f"{path}: not a public key in PEM; copy the store's public key there") from error
        if not isinstance(key, Ed25519PublicKey):
            raise PublicKeyError(f"{path}: holds a {type(key).__name__}, not an Ed25519 public key")
        return cls(key)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether the store signed exactly these bytes."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
