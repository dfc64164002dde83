"""Token buckets: how fast one client may ask. Memory is bounded: the longest unused buckets are forgotten first."""

from collections import OrderedDict

import msgspec

from cart_protocol.host.clock import Clock


class _Bucket(msgspec.Struct):
    tokens: float
    at_us: int


class TokenBuckets:
    """One bucket of `burst` tokens per key, refilled with `per_s` tokens a second."""

    def __init__(self, clock: Clock, *, burst: float, per_s: float, most_keys: int = 20_000) -> None:
        self._clock = clock
        self._burst = burst
        self._per_s = per_s
        self._most_keys = most_keys
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Return how many seconds `key` has to wait for a token; 0 when one is there. Takes nothing."""
        missing = 1.0 - self._filled(key).tokens
        return max(0.0, missing / self._per_s)

    def take(self, key: str) -> float:
        """Take a token and return 0, or return how many seconds `key` has to wait for one."""
        wait_s = self.wait_s(key)
        if wait_s == 0:
            self._buckets[key].tokens -= 1.0
        return wait_s

    def forget(self, key: str) -> None:
        """Throw the bucket of `key` away; its next one is full."""
        self._buckets.pop(key, None)

    def _filled(self, key: str) -> _Bucket:
        now_us = self._clock.monotonic_us()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._burst, now_us)
            if len(self._buckets) > self._most_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.tokens = min(self._burst, bucket.tokens + (now_us - bucket.at_us) / 1_000_000 * self._per_s)
        bucket.at_us = now_us
        return bucket
