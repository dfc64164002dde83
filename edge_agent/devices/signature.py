"""The store's private key: signs price books and exit tokens (Ed25519, RFC 8032)."""

from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cart_protocol.host.signature import KeyFileError, Verifier, read_key
from edge_agent.devices.private_file import write_secret

SIGNATURE_BYTES = 64


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
            KeyFileError: a file is there already; an old key is never overwritten.
        """
        if path.exists():
            raise KeyFileError(f"{path}: exists; move the old key away first, carts still trust it")
        key = Ed25519PrivateKey.generate()
        write_secret(path, _private_pem(key))
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the signer of a private key in PEM.

        Raises:
            KeyFileError: there is no Ed25519 private key in it.
        """
        try:
            key = serialization.load_pem_private_key(read_key(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path}: not an unencrypted private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: holds a {type(key).__name__}, not an Ed25519 private key")
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of signature."""
        return self._key.sign(message)


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
