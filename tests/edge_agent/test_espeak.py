"""The lane's voice: the real espeak-ng, and what happens without it."""

import asyncio
import shutil
import wave
from pathlib import Path

import pytest

from edge_agent.devices.espeak import EspeakSpeaker, open_speaker
from edge_agent.ports import DeviceError

spoken = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def seconds(path: Path) -> float:
    with wave.open(str(path)) as sound:
        return sound.getnframes() / sound.getframerate()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@spoken
async def test_each_sentence_becomes_the_next_wav_file(tmp_path: Path) -> None:
    speaker = open_speaker(f"espeak-ng:{tmp_path / 'said'}")
    await speaker.say("Goodbye.")
    await speaker.say("Please stop. There are unpaid goods at the gate. Somebody is coming to help.")
    assert files(tmp_path / "said") == ["0001.wav", "0002.wav"]
    assert 0.3 < seconds(tmp_path / "said" / "0001.wav") < seconds(tmp_path / "said" / "0002.wav")


@spoken
async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "0041.wav").touch()
    await EspeakSpeaker(tmp_path).say("Goodbye.")
    assert (tmp_path / "0042.wav").stat().st_size > 1_000


@spoken
async def test_two_at_once_are_spoken_one_after_the_other(tmp_path: Path) -> None:
    speaker = EspeakSpeaker(tmp_path)
    await asyncio.gather(speaker.say("One."), speaker.say("Two."))
    assert files(tmp_path) == ["0001.wav", "0002.wav"]


@spoken
async def test_a_sentence_is_never_an_option_nor_a_command(tmp_path: Path) -> None:
    await EspeakSpeaker(tmp_path).say("--version; touch x $(touch y) `touch z`")
    assert files(tmp_path) == ["0001.wav"]


@spoken
async def test_a_program_that_fails_is_told_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"espeak-ng: .*voice does not exist"):
        await EspeakSpeaker(tmp_path, voice="/no/such/voice").say("Hello.")


async def test_a_silent_failure_is_told_too(tmp_path: Path) -> None:
    # espeak-ng 1.51 without a sound card: these words, and success
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\ncat >/dev/null; echo 'error: No such file or directory' >&2\n")
    program.chmod(0o755)
    with pytest.raises(DeviceError, match="No such file or directory; check the sound card"):
        await EspeakSpeaker(program=str(program)).say("Hello.")


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "said").touch()
    with pytest.raises(DeviceError, match="name another folder"):
        await EspeakSpeaker(tmp_path / "said").say("Hello.")


async def test_a_missing_program_is_reported_once_and_then_the_lane_goes_on_in_silence(tmp_path: Path) -> None:
    speaker = EspeakSpeaker(tmp_path, program="espeak-that-nobody-installed")
    with pytest.raises(DeviceError, match="apt install espeak-ng"):
        await speaker.say("Hello.")
    await speaker.say("Hello again.")


def test_another_speaker_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match="write 'espeak-ng' or 'espeak-ng:DIR'"):
        open_speaker("festival")
