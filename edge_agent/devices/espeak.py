"""The lane's voice: espeak-ng as a child process, aloud or into numbered WAV files. The GPL stays over there."""

import asyncio
from pathlib import Path

from edge_agent.ports import DeviceError

_PROGRAM = "espeak-ng"
_PATIENCE_S = 20.0
"""The longest sentence takes about eight seconds to speak."""
_LAST_WORDS = 200


class EspeakSpeaker:
    """Speaks one sentence after the other. With `folder`, writes 0001.wav, 0002.wav … there and makes no sound.

    A missing program is reported once; afterwards `say` does nothing, since lamp and sounder stand.
    """

    def __init__(self, folder: Path | None = None, voice: str = "en", program: str = _PROGRAM) -> None:
        self._folder = folder
        self._voice = voice
        self._program = program
        self._missing = False
        self._turn = asyncio.Lock()

    async def say(self, sentence: str) -> None:
        """Speak and return when done.

        Raises:
            DeviceError: the program is missing (the first time), failed, or took longer than 20 s and was ended.
        """
        if self._missing:
            return
        async with self._turn:
            await self._run(sentence)

    async def _run(self, sentence: str) -> None:
        target = _next_file(self._folder) if self._folder is not None else None
        into = [] if target is None else ["-w", str(target)]
        child = await self._start(*into)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                _, complaint = await child.communicate(sentence.encode())
        except TimeoutError as error:
            what = f"{self._program} did not end in {_PATIENCE_S} s"
            raise DeviceError(f"speaker: {what}; is the sound card busy?") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        # It ends with 0 also when it could not write, or found no sound card: believe its words and the file.
        if child.returncode or b"error:" in complaint or (target is not None and not target.exists()):
            words = complaint.decode(errors="replace").strip()[-_LAST_WORDS:]
            raise DeviceError(f"speaker: {self._program}: {words or 'failed'}; check the sound card, or the folder")

    async def _start(self, *into: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._program,
                *("-v", self._voice, *into, "--stdin"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            self._missing = True
            what = f"cannot start {self._program} ({error.strerror})"
            raise DeviceError(f"speaker: {what}; apt install espeak-ng") from error


def _next_file(folder: Path) -> Path:
    """Return the first number that no file has yet: the folder outlives us."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"speaker: cannot make {folder} ({error.strerror}); name another folder") from error
    numbers = [int(path.stem) for path in folder.glob("*.wav") if path.stem.isdigit()]
    return folder / f"{max(numbers, default=0) + 1:04d}.wav"


def open_speaker(text: str) -> EspeakSpeaker:
    """Return the speaker of a setting: 'espeak-ng', or 'espeak-ng:DIR' for WAV files."""
    program, _, folder = text.partition(":")
    if program != _PROGRAM:
        raise DeviceError(f"speaker {text!r}: unknown; write 'espeak-ng' or 'espeak-ng:DIR'")
    return EspeakSpeaker(Path(folder) if folder else None)
