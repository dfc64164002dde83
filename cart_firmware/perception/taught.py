"""What a store taught of goods by sight, upon the knowledge that was shipped with the network."""

from collections.abc import Iterable

import msgspec
import numpy as np

from cart_firmware.perception.knowledge import Knowledge
from cart_firmware.perception.product_index import Floats, ProductIndex, bias_of, unit
from cart_protocol.ids import ProductId
from cart_protocol.sight import Taught

_NUMBER = np.dtype("<f2")
_LENGTH_WITHIN = 0.01
"""16-bit floats keep a unit vector's length to about a thousandth."""


class TaughtError(ValueError):
    """A prototype that belongs to no product of this network; the text says whose and why."""


def packed(vector: Floats) -> bytes:
    """Return a vector as it travels: 16-bit floats, little-endian (cart_protocol.sight.Taught)."""
    return vector.astype(_NUMBER).tobytes()


def taught(product: ProductId, shots: Floats, space_sha256: str, look_alikes: Iterable[str] = ()) -> Taught:
    """Return what is stored of a product's shots (shots x dimensions, unit vectors): their mean. Raises ValueError."""
    if not len(shots):
        raise ValueError(f"no shots of {product}: show it to the camera at least once")
    return Taught(
        product=product, network_sha256=space_sha256, shots=len(shots), vector=packed(unit(shots.mean(axis=0))),
        look_alikes=tuple(look_alikes),
    )  # fmt: skip


def prototype(said: Taught, dimensions: int) -> Floats:
    """Return the unit vector of what was taught.

    Raises:
        TaughtError: it has another number of dimensions, or is no unit vector.
    """
    if len(said.vector) != dimensions * _NUMBER.itemsize:
        raise TaughtError(
            f"{said.product}: a prototype of {len(said.vector)} bytes, the network's has {dimensions} numbers of 2"
        )
    vector = np.frombuffer(said.vector, _NUMBER).astype(np.float32)
    length = float(np.linalg.norm(vector))
    if not abs(length - 1) <= _LENGTH_WITHIN:  # nor is what has no length
        raise TaughtError(f"{said.product}: a prototype of length {length:.3g}, expected 1")
    return unit(vector)


def with_taught(knowledge: Knowledge, goods: Iterable[Taught]) -> Knowledge:
    """Return the knowledge with these products as well, in any order; what was taught in another space is left out.

    A product that the index knows already is replaced.

    Raises:
        TaughtError: one of them is no prototype of this space.
    """
    index, space = knowledge.index, knowledge.space_sha256
    ours = sorted((each for each in goods if each.network_sha256 == space), key=lambda x: x.product)
    if not ours:
        return knowledge
    rest = index.without(*(each.product for each in ours))
    prototypes = np.stack([prototype(each, index.prototypes.shape[1]) for each in ours])
    bias = np.array([bias_of(each.shots) for each in ours], np.float32)
    whole = ProductIndex(
        [*rest.names, *(each.product for each in ours)],
        np.vstack([rest.prototypes, prototypes]),
        np.concatenate([rest.bias, bias]),
    )
    return msgspec.structs.replace(knowledge, index=whole)
