"""A gpiozero pin factory whose pins are wired to the world's lane: `sim.wires.pins:connect?socket=…&lane=…`."""

import threading
from collections.abc import Iterable

from gpiozero.pins.mock import MockFactory, MockPin

from sim.wires import notices
from sim.wires.visitor import Visitor


class StreetPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """A pin of gpiozero's own mock, whose level the street sees when it is an output and sets when it is an input."""

    def _set_function(self, value: str) -> None:
        was_output = self.function == "output"
        super()._set_function(value)
        if value == "output":
            self.factory.tell(self, level=self._state)
        else:
            if was_output:
                self.factory.tell(self, level=False)
            self.factory.apply_drive(self)

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        self.factory.apply_drive(self)

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if changed:
            # The mock keeps every state it ever had, for assertions; a lane runs for months.
            del self.states[:-1]
            if self.function == "output":
                self.factory.tell(self, level=value)
        return changed

    @property
    def bcm(self) -> int:
        """Return the pin's Broadcom number, the one in the lane's settings."""
        return int(self.info.name.removeprefix("GPIO"))


class StreetFactory(MockFactory):  # type: ignore[misc]  # gpiozero ships no types
    """Pins of one lane. Input edges arrive in the street's thread, as a real back-end's do."""

    def __init__(self, socket: str, lane: str) -> None:
        super().__init__(pin_class=StreetPin)
        # Two locks: an input's edge may run the product's callback, which may set an output.
        self._driving = threading.RLock()
        self._lock = threading.Lock()
        self._outputs: dict[int, bool] = {}
        self._driven: dict[int, bool] = {}
        self._visitor = Visitor(socket, notices.Hello("pins", lane), self._hear, self._state)

    def tell(self, pin: StreetPin, *, level: bool) -> None:
        """Tell the world an output's level. Never waits; after a break the street hears all levels again."""
        with self._lock:
            self._outputs[pin.bcm] = level
        self._visitor.say(notices.Output(pin.bcm, level))

    def apply_drive(self, pin: StreetPin) -> None:
        """Give an input the level that the world holds it at, if it holds it."""
        with self._driving:
            level = self._driven.get(pin.bcm)
            if level is not None and pin.function == "input":
                (pin.drive_high if level else pin.drive_low)()

    def close(self) -> None:
        """Release the pins and leave the street. May be repeated."""
        super().close()
        self._visitor.close()

    def _state(self) -> Iterable[notices.FromProduct]:
        with self._lock:
            return [notices.Output(number, level) for number, level in self._outputs.items()]

    def _hear(self, notice: notices.FromWorld) -> None:
        if not isinstance(notice, notices.Drive):
            return
        with self._driving:
            self._driven[notice.pin] = notice.level
            for pin in list(self.pins.values()):
                if pin.bcm == notice.pin:
                    self.apply_drive(pin)


def connect(socket: str, lane: str) -> StreetFactory:
    """Return a pin factory for the devices of `lane`; it works at once and joins the street when there is one."""
    return StreetFactory(socket, lane)
