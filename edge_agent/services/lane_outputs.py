"""What a lane switches: deactivator, barrier, lamp and sounder, by the effects of its table."""

from edge_agent.core.lane_sequence import Effect
from edge_agent.ports import LampColour, LaneDevices

_LAMPS = {
    Effect.LAMP_RED: LampColour.RED,
    Effect.LAMP_AMBER: LampColour.AMBER,
    Effect.LAMP_GREEN: LampColour.GREEN,
    Effect.LAMP_OFF: LampColour.OFF,
}


class LaneOutputs:
    """The switched devices of one lane, and what was last asked of the two that matter. Any call may be repeated."""

    def __init__(self, devices: LaneDevices) -> None:
        self._devices = devices
        self.deactivator_live = False
        self.barrier_open = False

    def begin(self) -> None:
        """Set everything as it is when nobody is served."""
        self.make_safe()
        self.set(Effect.TONE_OFF)
        self.set(Effect.LAMP_OFF)

    def make_safe(self) -> None:
        """Deactivator off before anything else can fail, then the barrier. Raises DeviceError if either failed."""
        try:
            self.set(Effect.DISABLE_DEACTIVATOR)
        finally:
            self.set(Effect.CLOSE_BARRIER)

    def set(self, effect: Effect) -> None:
        """Carry out an effect on an output; effects on anything else are not ours. Raises DeviceError."""
        match effect:
            case Effect.DISABLE_DEACTIVATOR:
                self._devices.deactivator.disable()
                self.deactivator_live = False
            case Effect.ENABLE_DEACTIVATOR:
                self._devices.deactivator.enable()
                self.deactivator_live = True
            case Effect.CLOSE_BARRIER:
                self._devices.gate.close_barrier()
                self.barrier_open = False
            case Effect.OPEN_BARRIER:
                self._devices.gate.open()
                self.barrier_open = True
            case Effect.TONE_ON | Effect.TONE_OFF:
                self._devices.tone.sound(effect is Effect.TONE_ON)
            case _ if effect in _LAMPS:
                self._devices.lights.show(_LAMPS[effect])
