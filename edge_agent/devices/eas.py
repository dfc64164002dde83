"""Electronic article surveillance by relays: a deactivation pad, pedestals with an alarm contact, and the barrier.

The pad's own protocol is its vendor's; the cut that all of them offer is "deactivation enable". Pedestals offer an
alarm relay and a people counter (reference/hardware, section 3). Relays are off until asked, and fall with the power.
"""

import asyncio

from cart_protocol.host.pins import Pins
from edge_agent.devices.gpio import Contact, Output
from edge_agent.ports import EasSignal


class RelayDeactivator:
    """Deactivation pad behind one relay."""

    def __init__(self, pin: int, pins: Pins) -> None:
        self._relay = Output("deactivator relay", pin, pins)

    def enable(self) -> None:
        self._relay.set(True)

    def disable(self) -> None:
        self._relay.set(False)

    def close(self) -> None:
        self._relay.close()


class RelayEasGate:
    """Pedestals with alarm and passage contacts (to ground), and a barrier that opens while its relay is on.

    Make it inside the running event loop: contacts report from gpiozero's thread.
    """

    def __init__(self, *, barrier_pin: int, alarm_pin: int, passage_pin: int, pins: Pins) -> None:
        self._loop = asyncio.get_running_loop()
        self._signals: asyncio.Queue[EasSignal] = asyncio.Queue()
        self._barrier = Output("barrier relay", barrier_pin, pins)
        self._alarm = Contact("EAS alarm contact", alarm_pin, pins, lambda: self._report(EasSignal.TAG_ALARM))
        self._passage = Contact("passage contact", passage_pin, pins, lambda: self._report(EasSignal.PASSED))
        if self._alarm.is_closed:  # it was alarming before we came
            self._signals.put_nowait(EasSignal.TAG_ALARM)

    def open(self) -> None:
        self._barrier.set(True)

    def close_barrier(self) -> None:
        self._barrier.set(False)

    async def signal(self) -> EasSignal:
        return await self._signals.get()

    def close(self) -> None:
        for part in (self._barrier, self._alarm, self._passage):
            part.close()

    def _report(self, signal: EasSignal) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._signals.put_nowait, signal)
