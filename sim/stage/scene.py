"""What every part of a staged day shares: virtual time, the dice of one seed, the air, the witness and the trace."""

from collections.abc import Callable
from random import Random

from cart_protocol.ids import StoreId
from sim.stage.trace import Trace
from sim.stage.witness import Witness
from sim.virtual_time import VirtualTimeLoop
from sim.wires.air import Air, Weather

STORE = StoreId("stage")


class Scenery:
    def __init__(self, loop: VirtualTimeLoop, seed: int, weather: Weather | None = None) -> None:
        self.loop = loop
        self.seed = seed
        self.trace = Trace(loop.time)
        self.witness = Witness(self.trace)
        self.air = Air(self.dice("air"), weather)
        self.on_scan: Callable[[str, str], None] = lambda _lane, _text: None
        """Told which code was shown at which lane."""

    def dice(self, name: str) -> Random:
        """Return dice of their own for one purpose: nobody else's throws change them."""
        return Random(f"{self.seed}/{name}")
