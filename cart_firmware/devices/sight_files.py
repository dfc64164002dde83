"""Goods by sight on the cart's disk: the network and its knowledge, and what the store taught."""

import hashlib
from pathlib import Path

import msgspec
import structlog

import cart_firmware
from cart_firmware.config import RecognitionSettings
from cart_firmware.devices.whole_file import remove, replace
from cart_firmware.perception.embedder import Embedder
from cart_firmware.perception.knowledge import Knowledge, read
from cart_protocol.host.configuration import ConfigurationError
from cart_protocol.ids import LessonId
from cart_protocol.messages import LessonLearned, SightIssue

_LOG = structlog.get_logger("sight")
NETWORK, KNOWLEDGE = "network.tflite", "knowledge.npz"
_ISSUE, _LESSONS = "sight.json", "lessons"


def shipped_folder() -> Path:
    """Return where the files lie that were installed with this program; in a checkout it is models/produce."""
    installed = Path(cart_firmware.__file__).parent / "produce"
    return installed if installed.is_dir() else installed.parents[1] / "models" / "produce"


def load(settings: RecognitionSettings) -> tuple[Embedder, Knowledge]:
    """Return the network and what is known for it.

    Raises:
        ConfigurationError: a file is missing or damaged, or they do not belong together; the text says what to do.
    """
    folder = shipped_folder()
    paths = settings.network or folder / NETWORK, settings.knowledge or folder / KNOWLEDGE
    try:
        network, knowledge = (path.read_bytes() for path in paths)
        return Embedder(network), read(knowledge, network)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"recognition: {error}; name files of one training, or neither") from error


class SightFolder:
    """cart_firmware.ports.SightFiles in the state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def issue(self) -> SightIssue | None:
        path = self._state / _ISSUE
        try:
            return msgspec.json.decode(path.read_bytes(), type=SightIssue)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            # A cache of what the store knows: it brings it again.
            _LOG.warning("the kept issue cannot be read", path=str(path), error=str(error))
            return None

    def keep_issue(self, issue: SightIssue) -> None:
        replace(self._state / _ISSUE, msgspec.json.encode(issue))

    def lessons(self) -> list[LessonLearned]:
        found = []
        for path in sorted((self._state / _LESSONS).glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=LessonLearned))
            except (OSError, msgspec.DecodeError) as error:
                _LOG.warning("a lesson cannot be read; show the product again", path=str(path), error=str(error))
        return found

    def keep_lesson(self, learned: LessonLearned) -> None:
        replace(self._lesson(learned.lesson), msgspec.json.encode(learned))

    def drop_lesson(self, lesson: LessonId) -> None:
        if (path := self._lesson(lesson)).exists():
            remove(path)

    def _lesson(self, lesson: LessonId) -> Path:
        """Return its file; it is named by a digest, since the store says what a lesson is called."""
        return self._state / _LESSONS / f"{hashlib.sha256(lesson.encode()).hexdigest()[:24]}.json"
