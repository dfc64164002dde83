"""What a cart knows of goods by sight, beside the network: one file of arrays that names the network it belongs to.

The file is numpy's npz, followed by the SHA-256 of all that stands before.
"""

import hashlib
import io
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from cart_firmware.perception.product_index import ProductIndex, Space, kept

FORMAT = 4
"""1 had a space of the features themselves, not of their square roots; 2 one doubt for all pictures; 3 no lengths."""


class Calibration(msgspec.Struct, frozen=True):
    """How likeness becomes probability. Chosen on photographs that were not trained on: scripts/measure calibration."""

    sharpness: float
    """Inverse temperature of the softmax over likeness, of a picture that is certainly of something known."""
    strange: float
    """Least likeness at which a product is as likely known as not."""
    strange_width: float
    """Likeness by which the odds of being known grow by e."""
    dull_sharpness: float
    """Inverse temperature of a picture that is like nothing known: a rare side of the goods, or something before them.
    Without it a scan that such a picture speaks against would be taken for a switched label."""

    def unknown(self, likeness: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability (...) that pictures of this likeness (... x products) show none of the products.

        The nearest product alone counts: to lie between several that are half alike is a stranger's way, not a known
        one's.
        """
        nearest = likeness.max(axis=-1).astype(np.float64)
        return np.asarray(1 / (1 + np.exp((nearest - self.strange) / self.strange_width)))

    def shares(self, likeness: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each product, if it is one of them, from the likeness of pictures (... x products).

        They add up to one. The less a picture is like anything known, the less it says about which it is.
        """
        away = likeness.astype(np.float64) - likeness.max(axis=-1, keepdims=True)
        doubt = self.unknown(likeness)[..., None]
        return np.asarray((1 - doubt) * _softmax(self.sharpness * away) + doubt * _softmax(self.dull_sharpness * away))


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of scores (... x products) whose largest is zero."""
    odds = np.exp(scores)
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


class Knowledge(msgspec.Struct, frozen=True):
    """Whitening, products and calibration for one network."""

    network_sha256: str
    space: Space
    index: ProductIndex
    groups: Mapping[str, str]
    """Product to the group of those that look like it; for products enrolled without one there is none."""
    calibration: Calibration
    record: Mapping[str, str]
    """How this came to be: what was trained on, the recipe, the score."""

    @property
    def space_sha256(self) -> str:
        """Return what names network and space together, in hexadecimal: a vector means something in these alone."""
        return hashlib.sha256(f"{self.network_sha256} {self.space.sha256}".encode()).hexdigest()


class WrongKnowledge(ValueError):  # noqa: N818 - what is wrong, not that something is
    """A file of knowledge is damaged, of another format, or belongs to another network."""


def written(knowledge: Knowledge) -> bytes:
    """Return the file's content. The same knowledge gives the same bytes; whitening is kept in 16-bit floats."""
    head = {
        "format": FORMAT,
        "network_sha256": knowledge.network_sha256,
        "names": knowledge.index.names,
        "groups": dict(knowledge.groups),
        "calibration": knowledge.calibration,
        "ordinary": (knowledge.space.excitement, knowledge.space.distance),
        "record": dict(knowledge.record),
    }
    content = io.BytesIO()
    np.savez(
        content,
        allow_pickle=False,
        head=np.frombuffer(msgspec.json.encode(head, order="deterministic"), np.uint8),
        centre=knowledge.space.centre,
        whitening=kept(knowledge.space.whitening),
        prototypes=knowledge.index.prototypes.astype(np.float16),
        bias=knowledge.index.bias,
    )
    body = content.getvalue()
    return body + hashlib.sha256(body).digest()


def read(content: bytes, network: bytes) -> Knowledge:
    """Return what a file says.

    Args:
        content: of the file.
        network: content of the network's file that this knowledge is to be used with.

    Raises:
        WrongKnowledge: it is damaged, of another format, or made for another network.
    """
    body, digest = content[:-32], content[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise WrongKnowledge(f"{len(content)} bytes whose checksum is wrong: copy the file again")
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        head = msgspec.json.decode(bytes(arrays["head"]), type=_Head)
        if head.format != FORMAT:
            raise WrongKnowledge(f"format {head.format}, this program reads {FORMAT}: train anew with this version")
        sha256 = hashlib.sha256(network).hexdigest()
        if head.network_sha256 != sha256:
            raise WrongKnowledge(
                f"made for the network {head.network_sha256[:12]}, this one is {sha256[:12]}: use files of one training"
            )
        return Knowledge(
            network_sha256=sha256,
            space=Space(_floats(arrays["centre"]), _floats(arrays["whitening"]), *head.ordinary),
            index=ProductIndex(head.names, _floats(arrays["prototypes"]), _floats(arrays["bias"])),
            groups=head.groups,
            calibration=head.calibration,
            record=head.record,
        )


class _Head(msgspec.Struct):
    format: int
    network_sha256: str
    names: list[str]
    groups: dict[str, str]
    calibration: Calibration
    ordinary: tuple[float, float]
    record: dict[str, str]


def _floats(array: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
