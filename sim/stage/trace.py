"""What happened on the stage, line by line: kept short while all goes well, shown when an invariant breaks."""

import hashlib
from collections import deque
from collections.abc import Callable

_KEPT = 400


class Trace:
    """The newest lines, and a digest of all of them: two runs of one seed must have the same."""

    def __init__(self, now_s: Callable[[], float], kept: int = _KEPT) -> None:
        self._now_s = now_s
        self._lines: deque[str] = deque(maxlen=kept)
        self._digest = hashlib.sha256()
        self.closed = False
        """Nothing is added any more: the last line is what broke."""

    def note(self, who: str, what: str) -> None:
        if self.closed:
            return
        line = f"{self._now_s():9.3f} s  {who:<9} {what}"
        self._digest.update(line.encode())
        self._lines.append(line)

    def newest(self, count: int) -> list[str]:
        return list(self._lines)[-count:]

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()
