"""The store's time: what facts are stamped with and what everything that expires is measured by."""

from cart_protocol.host.clock import Clock

_STANDS_MS = 1_000
"""A clock that is slewed or stepped by less simply stands still until it has caught up."""


class StoreTime:
    """The machine's wall clock, but never back. A clock that was set back is not waited for.

    Until it has caught up, time goes on from where it was, by the monotonic clock. Were it to stand still, no exit
    token and no patience would end, or every new one would have ended already, for as long as the clock was set back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest_ms = 0
        self._at_us = clock.monotonic_us()

    def now_ms(self) -> int:
        """Return the time (Unix, milliseconds): never less than before, nor than any time that was `seen`."""
        wall_ms, now_us = self._clock.wall_ms(), self._clock.monotonic_us()
        if wall_ms >= self._newest_ms:
            self._newest_ms, self._at_us = wall_ms, now_us
        elif self._newest_ms - wall_ms > _STANDS_MS:
            passed_ms = (now_us - self._at_us) // 1_000
            self._newest_ms += passed_ms
            self._at_us += passed_ms * 1_000
        return self._newest_ms

    def seen(self, at_ms: int) -> None:
        """A fact was recorded at this time, by an earlier run or by another agent."""
        if at_ms > self._newest_ms:
            self._newest_ms, self._at_us = at_ms, self._clock.monotonic_us()
