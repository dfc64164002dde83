"""How long things took: counts in buckets that grow by a twentieth, so that an hour's worth costs a few kilobytes."""

import math
from collections import Counter

_GROWTH = math.log(1.05)
_MILLISECOND = math.log2(1_000)


class Histogram:
    """Durations in microseconds. A percentile is right to within five in a hundred."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest_us = 0

    def add(self, took_us: int) -> None:
        self._buckets[int(math.log(max(took_us, 1)) / _GROWTH)] += 1
        self.count += 1
        self.longest_us = max(self.longest_us, took_us)

    def percentile_ms(self, percent: float) -> float:
        """Return what `percent` of all stayed below, in milliseconds; 0 where there were none."""
        rank, passed = math.ceil(self.count * percent / 100), 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed >= rank:
                return min(math.exp((bucket + 1) * _GROWTH), self.longest_us) / 1e3
        return 0.0

    def lines(self, width: int = 40) -> list[str]:
        """Return the histogram as text: one line for each doubling of the milliseconds."""
        doublings: Counter[int] = Counter()
        for bucket, count in self._buckets.items():
            doublings[max(0, math.ceil(bucket * _GROWTH / math.log(2) - _MILLISECOND))] += count
        most = max(doublings.values(), default=1)
        return [
            f"  < {2**power:>6} ms  {doublings[power]:>8}  {'#' * math.ceil(width * doublings[power] / most)}"
            for power in range(min(doublings, default=0), max(doublings, default=-1) + 1)
        ]
