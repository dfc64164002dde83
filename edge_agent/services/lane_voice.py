"""What a lane says aloud: one sentence after the other, never one that is no longer true."""

import asyncio
from typing import NoReturn

import structlog

from cart_protocol.ids import LaneId
from edge_agent.ports import DeviceError, Speaker

_log = structlog.get_logger(__name__)


class LaneVoice:
    """Speaks beside the lane's work: a lane without a voice goes on."""

    def __init__(self, lane: LaneId, speaker: Speaker) -> None:
        self.said = ""
        """The newest sentence, spoken or not: the console shows it."""
        self.unspoken = 0
        """Sentences that the speaker failed to speak."""
        self._lane = lane
        self._speaker = speaker
        self._sentences: asyncio.Queue[str] = asyncio.Queue()

    def say(self, sentence: str) -> None:
        self.said = sentence
        self._sentences.put_nowait(sentence)

    async def run(self) -> NoReturn:
        """Speak the newest sentence; what was overtaken while another was spoken is no longer true."""
        while True:
            sentence = await self._sentences.get()
            while not self._sentences.empty():
                sentence = self._sentences.get_nowait()
            try:
                await self._speaker.say(sentence)
            except DeviceError as error:
                self.unspoken += 1
                _log.error("lane cannot speak", lane=self._lane, sentence=sentence, what=str(error))
