"""Double taps are harmless: an action is run once per key, and whoever submits it again gets the first answer."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable


class Once:
    """Remembers the newest `most` keys. A refusal is not remembered once it was told, so that it can be tried again."""

    def __init__(self, most: int = 4_096) -> None:
        self._most = most
        self._runs: OrderedDict[str, asyncio.Future[None]] = OrderedDict()

    async def run(self, key: str, action: Callable[[], Awaitable[None]]) -> None:
        """Run `action`, unless `key` already ran or runs: then wait for that one. Raises what the action raised."""
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = asyncio.ensure_future(action())
            run.add_done_callback(lambda done: self._forget_failed(key, done))
            while len(self._runs) > self._most:
                self._runs.popitem(last=False)
        # A phone that hangs up must not stop the payment it started, nor the second submit that waits for it.
        await asyncio.shield(run)

    def forget(self, part: str) -> None:
        """Forget every key that contains `part`; whoever still waits for one of them gets its answer."""
        for key in [key for key in self._runs if part in key]:
            del self._runs[key]

    def _forget_failed(self, key: str, run: asyncio.Future[None]) -> None:
        if (run.cancelled() or run.exception()) and self._runs.get(key) is run:
            del self._runs[key]
