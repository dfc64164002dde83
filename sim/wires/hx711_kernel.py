"""The kernel's HX711 driver as a program sees it (drivers/iio/adc/hx711.c): one blocking read of one number.

Facts: DOUT is asked each 10 ms, a hundred times; then PD_SCK is held high for 10 ms, and DOUT asked as often again;
then the read fails with EIO. Interrupts are off during a pulse. The number is the code with its highest bit turned.
"""

import errno
from collections.abc import Generator

from sim.chips.hx711 import HX711Chip

Reading = Generator[float, None, int]

_ASK_S = 10e-3
_TIMES = 100
_PULSE_S = 1e-6


class KernelDriver:
    """Reads a chip. A reading is a generator: it yields the seconds it waits, and returns `in_voltage0_raw`."""

    def __init__(self, chip: HX711Chip, pulses: int = 25) -> None:
        self._chip, self._pulses = chip, pulses
        self._gain_set = False

    def reading(self) -> Reading:
        """Read once.

        Raises:
            OSError: EIO; the chip gave no conversion, not even after a reset.
        """
        if not (yield from self._wait()):
            self._gain_set = False
            self._chip.pd_sck(1)
            yield _ASK_S
            self._chip.pd_sck(0)
            if not (yield from self._wait()):
                raise OSError(errno.EIO, "Input/output error")
        if not self._gain_set:
            yield from self._frame()
            self._gain_set = True
            yield from self._wait()
        word = yield from self._frame()
        return word ^ 0x800000

    def _wait(self) -> Generator[float, None, bool]:
        for _ in range(_TIMES):
            if not self._chip.dout():
                return True
            yield _ASK_S
        return False

    def _frame(self) -> Reading:
        word = 0
        for pulse in range(self._pulses):
            self._chip.pd_sck(1)
            yield _PULSE_S
            self._chip.pd_sck(0)
            yield _PULSE_S
            if pulse < 24:
                word = word << 1 | self._chip.dout()
        return word
