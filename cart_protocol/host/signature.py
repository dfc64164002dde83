"""The store's signature (Ed25519, RFC 8032) as everybody checks it: carts on price books, lanes on exit tokens.

Whoever has only this can sign nothing. The private half is the store's: edge_agent.devices.signature.
"""

import hashlib
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class KeyFileError(Exception):
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
            KeyFileError: there is no Ed25519 public key in it.
        """
        try:
            key = serialization.load_pem_public_key(read_key(path, remedy="copy the store's public key there"))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path}: not a public key in PEM; copy the store's public key there") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(f"{path}: holds a {type(key).__name__}, not an Ed25519 public key")
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


def read_key(path: Path, *, remedy: str = "name an existing key file") -> bytes:
    """Return a key file's bytes, or raise KeyFileError that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
