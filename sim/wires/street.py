"""The street: a unix socket on which the live world meets its plug-ins in the product's processes and the cameras.

The world keeps what is true (every platform's history, every camera's scene, every lane's levels), so a plug-in that
comes late, or whose process was killed and is back, sees the same world as before.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from cart_protocol.host.clock import HostClock
from sim.physics.load import LoadAct, compacted
from sim.wires import notices

_LONGEST_PATH = 107
"""sun_path of unix(7), less its terminator."""
_LONGEST_QUEUE = 1 << 20
"""Bytes that a plug-in may leave unread before it is cut off; it comes back and starts from the present."""
_MANY_ACTS = 400
_RECENT_S = 60.0
"""Acts of this age are kept as they were when a history is folded."""

OutputHeard = Callable[[bool], None]


class LanePins:
    """The wires between one lane's outputs and inputs and the steel around them."""

    def __init__(self, street: "Street", lane: str) -> None:
        self._street = street
        self._lane = lane
        self._outputs: dict[int, bool] = {}
        self._inputs: dict[int, bool] = {}
        self._callbacks: dict[int, list[OutputHeard]] = {}

    def on_output(self, pin: int, callback: OutputHeard) -> None:
        """Call back with the level whenever the product changes the output `pin` (BCM number)."""
        self._callbacks.setdefault(pin, []).append(callback)

    def level(self, pin: int) -> bool:
        """Return the level of an output; low while nobody drives it (the lines have pull-downs)."""
        return self._outputs.get(pin, False)

    def drive(self, pin: int, level: bool) -> None:
        """Hold the input `pin` at a level; until the first call the product's own pull decides."""
        self._inputs[pin] = level
        self._street.tell("pins", self._lane, notices.Drive(pin, level))

    def driven(self) -> list[notices.FromWorld]:
        """Return what a plug-in that joins must hear."""
        return [notices.Drive(pin, level) for pin, level in self._inputs.items()]

    def changed(self, output: notices.Output) -> None:
        """Take an output's new level from the product."""
        if self.level(output.pin) != output.level:
            self._outputs[output.pin] = output.level
            for callback in self._callbacks.get(output.pin, ()):
                callback(output.level)

    def released(self) -> None:
        """The process that drove the outputs is gone: they fall."""
        for pin in [pin for pin, level in self._outputs.items() if level]:
            self.changed(notices.Output(pin, level=False))


class Street:
    """The world's end. All calls from the loop that started it."""

    def __init__(self, path: Path) -> None:
        if len(str(path)) > _LONGEST_PATH:
            raise ValueError(f"{path}: a socket's path has at most {_LONGEST_PATH} characters; choose a shorter folder")
        self._path = path
        self._clock = HostClock()
        self._server: asyncio.Server | None = None
        self._visitors: dict[tuple[str, str], list[asyncio.StreamWriter]] = {}
        self._arrivals = asyncio.Condition()
        self._acts: dict[str, list[LoadAct]] = {}
        self._unplugged: set[str] = set()
        self._views: dict[str, notices.View] = {}
        self._lanes: dict[str, LanePins] = {}
        self.nonsense = 0
        """Lines that were no notice; each cost its sender the connection."""

    async def start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._receive, str(self._path))

    async def close(self) -> None:
        """Leave; plug-ins keep what they last heard. May be repeated."""
        if self._server is not None:
            self._server.close()
            for writer in [writer for writers in self._visitors.values() for writer in writers]:
                writer.close()
            await self._server.wait_closed()
            self._server = None
        self._path.unlink(missing_ok=True)

    async def joined(self, part: str, of: str) -> None:
        """Wait until a plug-in ('load', 'camera', 'pins') of this cart or lane is connected."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: self._visitors.get((part, of)))

    # ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_load(self, cart: str, acts: Iterable[LoadAct]) -> None:
        """Replace everything that happened on a cart's platform."""
        self._acts[cart] = list(acts)
        self.tell("load", cart, self._load(cart))

    def add_load(self, cart: str, *acts: LoadAct) -> None:
        """Let something more happen on it."""
        history = self._acts.setdefault(cart, [])
        history.extend(acts)
        self.tell("load", cart, notices.MoreLoad(acts))
        if len(history) > _MANY_ACTS:
            self.set_load(cart, compacted(history, self._clock.monotonic_us() / 1e6 - _RECENT_S))

    def set_plugged(self, cart: str, plugged: bool) -> None:
        """Connect or disconnect the cart's load-cell converter."""
        (self._unplugged.discard if plugged else self._unplugged.add)(cart)
        self.tell("load", cart, self._load(cart))

    def set_scene(self, cart: str, scene: msgspec.Struct) -> None:
        """Show the cart's camera something (sim.optics.scene.View)."""
        self._views[cart] = notices.View(msgspec.Raw(msgspec.json.encode(scene)))
        self.tell("camera", cart, self._views[cart])

    def _load(self, cart: str) -> notices.Load:
        return notices.Load(tuple(self._acts.get(cart, ())), plugged=cart not in self._unplugged)

    # ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def lane_pins(self, lane: str) -> LanePins:
        return self._lanes.setdefault(lane, LanePins(self, lane))

    # ── the socket ───────────────────────────────────────────────────────────────────────────────────────────────

    def tell(self, part: str, of: str, notice: notices.FromWorld) -> None:
        """Say something to all plug-ins of a kind, without waiting; one that does not listen is cut off."""
        text = notices.encode(notice) + notices.END
        for writer in self._visitors.get((part, of), ()):
            writer.write(text)
            if writer.transport.get_write_buffer_size() > _LONGEST_QUEUE:
                writer.transport.abort()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = None
        try:
            while line := await reader.readline():
                notice = notices.from_product(line)
                if isinstance(notice, notices.Hello):
                    hello = notice
                    await self._welcome(notice, writer)
                elif hello is not None:
                    self.lane_pins(hello.of).changed(notice)
        except (msgspec.DecodeError, ValueError):
            self.nonsense += 1
        except ConnectionError:
            pass
        finally:
            self._farewell(hello, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _welcome(self, hello: notices.Hello, writer: asyncio.StreamWriter) -> None:
        for notice in self._known(hello):
            writer.write(notices.encode(notice) + notices.END)
        self._visitors.setdefault((hello.part, hello.of), []).append(writer)
        async with self._arrivals:
            self._arrivals.notify_all()

    def _known(self, hello: notices.Hello) -> list[notices.FromWorld]:
        """Return the present state of what a plug-in stands in for."""
        match hello.part:
            case "load":
                return [self._load(hello.of)]
            case "camera":
                return [view] if (view := self._views.get(hello.of)) else []
            case "pins":
                return self.lane_pins(hello.of).driven()
            case _:
                raise ValueError(f"a plug-in calls itself {hello.part!r}; 'load', 'camera' and 'pins' are known")

    def _farewell(self, hello: notices.Hello | None, writer: asyncio.StreamWriter) -> None:
        if hello is None:
            return
        others = self._visitors.get((hello.part, hello.of), [])
        if writer in others:
            others.remove(writer)
        if hello.part == "pins" and not others:
            self.lane_pins(hello.of).released()
