"""How long a cart waits for its store: as long as the store has lately taken, and longer each time in vain."""

SHORTEST_WAIT_US = 200_000
LONGEST_WAIT_US = 30_000_000
FIRST_WAIT_US = 1_000_000
"""Before anything was measured (RFC 6298, section 2.1)."""
_MOST_DOUBLINGS = 8  # 200 ms << 8 is beyond the longest wait


class AnswerTimer:
    """RFC 6298 with exponential back-off, between SHORTEST_WAIT_US and LONGEST_WAIT_US. Times are microseconds."""

    def __init__(self) -> None:
        self.deadline_us: int | None = None
        self._smoothed_us: int | None = None
        self._variation_us = 0
        self._wait_us = FIRST_WAIT_US
        self._doublings = 0

    def arm(self, now_us: int) -> None:
        self.deadline_us = now_us + min(max(self._wait_us, SHORTEST_WAIT_US) << self._doublings, LONGEST_WAIT_US)

    def disarm(self) -> None:
        self.deadline_us = None

    def due(self, now_us: int) -> bool:
        return self.deadline_us is not None and now_us >= self.deadline_us

    def back_off(self) -> None:
        self._doublings = min(self._doublings + 1, _MOST_DOUBLINGS)

    def progress(self) -> None:
        """The other side lives: forget the doublings."""
        self._doublings = 0

    def sample(self, taken_us: int) -> None:
        """Learn from one answer, which must be to something sent only once (Karn's rule; RFC 6298, section 3)."""
        if self._smoothed_us is None:
            self._smoothed_us, self._variation_us = taken_us, taken_us // 2
        else:
            self._variation_us += (abs(self._smoothed_us - taken_us) - self._variation_us) // 4
            self._smoothed_us += (taken_us - self._smoothed_us) // 8
        self._wait_us = self._smoothed_us + 4 * self._variation_us
