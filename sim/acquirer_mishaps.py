"""What goes wrong at the TEST acquirer, by seed: any charge may meet a fault, whatever its method says."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from sim.acquirer_ledger import Method

FAULTS = (
    Method.DECLINED, Method.INSUFFICIENT, Method.TIMEOUT_BEFORE, Method.TIMEOUT_AFTER, Method.ERROR_500, Method.SLOW,
    Method.OFFLINE,
)  # fmt: skip


class Mishaps:
    """Draws a fault for a `share` of all charges, each kind as often as the others."""

    def __init__(self, dice: Random, share: float, faults: Sequence[Method] = FAULTS) -> None:
        self.drawn: Counter[Method] = Counter()
        """How often each fault was put in."""
        self._dice = dice
        self._share = share
        self._faults = tuple(faults)

    def __call__(self) -> Method | None:
        if self._dice.random() >= self._share:
            return None
        fault = self._dice.choice(self._faults)
        self.drawn[fault] += 1
        return fault
