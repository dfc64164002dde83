"""One product being shown to a camera: its shots as vectors, until there are enough. No picture outlives its frame."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.product_index import Floats
from cart_firmware.perception.self_test import learned
from cart_firmware.perception.shots import Seen, Shots
from cart_firmware.perception.taught import taught, with_taught
from cart_firmware.ports import Frame, FrameSource
from cart_firmware.services.camera_check import FIRST_S, NEXT_S, CameraSilentError
from cart_firmware.services.sight import Sights
from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import Prices
from cart_protocol.sight import Learned


class Showing(msgspec.Struct, frozen=True):
    """How far it has come, and what the camera sees now."""

    shots: int
    wanted: int
    seen: Seen

    @property
    def done(self) -> bool:
        return self.shots >= self.wanted


class Enrolment:
    """Takes frames, or shots that somebody else chose, one at a time.

    Args:
        sights: what the camera's machine knows now; its network makes the vectors.
        product: what is shown.
        wanted: so many shots.
        same: names under which this product is known already.
    """

    def __init__(self, sights: Sights, product: ProductId, wanted: int, same: Collection[str] = ()) -> None:
        self.product = product
        self._sights, self._wanted, self._same = sights, wanted, same
        self._shots = Shots()
        self._vectors = list[Floats]()

    def show(self, frame: Frame) -> Showing:
        """Look at a frame; keep it as a shot if it is one. Some milliseconds. Raises ValueError for a garbled frame."""
        colour = frame.colour
        look = self._shots.see(
            frame.at_us, frame.luma, colour.planes if colour else None, limited=colour.limited if colour else True
        )
        if look.crop is not None:
            self.add(look.crop)
        return Showing(len(self._vectors), self._wanted, look.seen)

    def add(self, shot: Picture) -> None:
        """Keep a shot (BGR); the middle square of it is looked at. Raises ValueError for what is no picture."""
        self._vectors.append(self._sights.shots([shot])[0])

    def result(self) -> Learned:
        """Return what was learned, and how its test against everything known went. Raises ValueError without shots."""
        return learned(self.product, np.stack(self._vectors), self._sights.knowledge, same=self._same)


async def watch(camera: FrameSource, enrolment: Enrolment, tell: Callable[[Showing], None]) -> None:
    """Look at every picture there is time for, until there are shots enough; `tell` hears how far it is.

    Raises:
        CameraSilentError: no picture came in time, or no more will come.
    """
    frames, patience_s = aiter(camera.frames()), FIRST_S
    while True:
        try:
            async with asyncio.timeout(patience_s):
                frame = await anext(frames)
        except (TimeoutError, StopAsyncIteration) as error:
            said = camera.complaint or "it said nothing"
            raise CameraSilentError(
                f"the camera shows no picture ({said}); look at it with: cart-firmware camera"
            ) from error
        showing = await asyncio.to_thread(enrolment.show, frame)
        tell(showing)
        if showing.done:
            return
        patience_s = NEXT_S


def learned_together(
    sights: Sights, shots: Mapping[ProductId, Sequence[Picture]], prices: Prices | None
) -> Iterator[Learned]:
    """Yield what is learned of each of several products; each is tested against the others as well."""
    vectors = {product: sights.shots(pictures) for product, pictures in shots.items()}
    new = {product: taught(product, seen, sights.network) for product, seen in vectors.items()}
    for product, seen in vectors.items():
        others = with_taught(sights.knowledge, [each for each in new.values() if each.product != product])
        yield learned(product, seen, others, same=same_as(product, prices))


def same_as(product: ProductId, prices: Prices | None) -> tuple[str, ...]:
    """Return the names under which the book says that a product is known by sight."""
    found = prices.find(product) if prices else None
    return (found.sight,) if found and found.sight else ()


Book = Callable[[], Prices | None]
"""Where the prices in force are looked up."""
