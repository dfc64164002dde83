"""A zero that wanders: followed while it is slow, suspected when it is not what goods and people do.

A cell warms, creeps and settles; nothing of that may become a line in a basket. It is followed no faster than the
worst honest cell drifts, so that goods poured in slowly are still found.
"""

from collections import deque

from cart_protocol.mass import Mass

FASTEST_UG_PER_S = 100_000
"""6 g a minute: five times what a 50 kg cell of class C3 does (OIML R60: creep 12 g in 30 min at full load; zero 0.02 %
of capacity for 10 K). 1 kg of rice would have to be poured in for almost three hours to go unseen."""
_FOLLOW_US = 2_000_000
_LONGEST_US = 30_000_000
"""After a longer time without rest a difference is rather a step."""
_LOOK_BACK_US = 600_000_000
_SUSPICIOUS_MG = 25_000
"""Within ten minutes: twice what warming and creep make of a sound cell (simulated trips: 9 g at most)."""
_CREEPS = 3
_NOTE_US = 10_000_000


class Drift:
    """How far the zero has gone from calibration, in micrograms; `followed` moves it, `suspicious` doubts the cell."""

    def __init__(self) -> None:
        self.offset_ug = 0
        self.suspicious = False
        """Whether the zero moved more within ten minutes than a sound cell's can, or three steps crept one way."""
        self._followed_us: int | None = None
        self._notes = deque[tuple[int, int]]()
        self._creeps = deque[tuple[int, bool]](maxlen=_CREEPS)

    def follow(self, at_us: int, change_ug: int) -> None:
        """Follow a reading that is `change_ug` away; what it may have gone since the last one counts, seen or not."""
        since_us = at_us - self._followed_us if self._followed_us is not None else 0
        self._followed_us = at_us
        lasting_us = max(0, min(_LONGEST_US, since_us))
        most = FASTEST_UG_PER_S * lasting_us // 1_000_000
        wanted = change_ug * min(lasting_us, _FOLLOW_US) // _FOLLOW_US
        self.offset_ug += max(-most, min(most, wanted))
        self._note(at_us)

    def absorb(self, change_ug: int) -> None:
        """Take a difference for drift at once: what is left when a step was undone, or found at the start."""
        self.offset_ug += change_ug

    def crept(self, at_us: int, change_ug: int) -> None:
        """Take note of a step that nothing moved for."""
        self._creeps.append((at_us, change_ug > 0))
        self._judge()

    @property
    def offset(self) -> Mass:
        return Mass(self.offset_ug // 1_000)

    def _note(self, at_us: int) -> None:
        notes = self._notes
        if notes and at_us - notes[-1][0] < _NOTE_US:
            return
        notes.append((at_us, self.offset_ug))
        while at_us - notes[0][0] > _LOOK_BACK_US:
            notes.popleft()
        self._judge()

    def _judge(self) -> None:
        offsets = [offset for _, offset in self._notes] or [0]
        together = len(self._creeps) == _CREEPS and self._creeps[-1][0] - self._creeps[0][0] <= _LOOK_BACK_US
        one_way = together and len({upwards for _, upwards in self._creeps}) == 1
        self.suspicious = one_way or max(offsets) - min(offsets) > _SUSPICIOUS_MG * 1_000
