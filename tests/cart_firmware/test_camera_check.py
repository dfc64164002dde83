"""A camera is watched and judged: each fault is called by its name, and a script can tell a good camera from a bad."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from cart_firmware.perception.camera_advice import Grade, Look, Setting, Verdict, judge, look
from cart_firmware.perception.reader import Reader
from sim.optics.label import Label, Symbology
from sim.optics.scene import EMPTY, Scene, render

ROOT = Path(__file__).resolve().parents[2]
TEA = Label("500011254637", Symbology.EAN13, name="TEA")
EAN = "5000112546378"
PICTURES = 6


def pictures(**scene: float) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    """A pack that is held up, a little differently in every picture."""
    dice = np.random.default_rng(3)
    held = {"module_px": 3.0, **scene}
    return [
        render(Scene(label=TEA, rotation_deg=2 * n - 5, **held), 640, 480, dice)  # type: ignore[arg-type]
        for n in range(PICTURES)
    ]


def unread(**scene: float) -> Verdict:
    """What is said of pictures that no reader, however good, got anything out of."""
    return judge([look(luma, ()) for luma in pictures(**scene)], 0.4, Setting(frames_per_second=15, exposure_us=660))


def judged(shown: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]], **setting: object) -> Verdict:
    reader = Reader()
    looks = [look(luma, reader.read(luma)) for luma in shown]
    return judge(looks, seconds=0.4, setting=Setting(frames_per_second=15, exposure_us=660, **setting))  # type: ignore[arg-type]


def said(verdict: Verdict, topic: str) -> str:
    return next((each.said for each in verdict.findings if each.topic == topic), "")


def grades(verdict: Verdict) -> dict[str, Grade]:
    return {each.topic: each.grade for each in verdict.findings}


def test_a_good_camera_will_do_and_says_what_it_read() -> None:
    verdict = judged(pictures())
    assert verdict.passed
    assert set(grades(verdict).values()) == {Grade.GOOD}
    assert (verdict.frames, verdict.in_view, verdict.read, verdict.texts) == (6, 6, 6, (EAN,))
    assert verdict.module_px == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(
    ("scene", "topic", "words"),
    [
        ({"module_px": 1.0}, "distance", "too far. Come to "),
        ({"module_px": 6, "x": 0.8}, "distance", "the code reaches out of the picture"),
        ({"defocus_px": 4}, "sharpness", "out of focus, since it is so along the bars too"),
        ({"motion_px": 8}, "sharpness", "it moves, since edges along the bars are sharp"),
        ({"light": 0.18}, "light", "too dark"),
        ({"light": 0.03}, "light", "the picture is dark"),
        ({"glare": 0.3}, "light", "a lamp is mirrored in it"),
        ({"glare": 0.6}, "light", "blinding white"),
        ({"noise": 45}, "noise", "Give more light and lower gain"),
    ],
)
def test_every_fault_is_called_by_its_name(scene: dict[str, float], topic: str, words: str) -> None:
    verdict = unread(**scene)
    assert not verdict.passed
    assert grades(verdict)[topic] is Grade.BAD
    assert words in said(verdict, topic)
    blamed = {each for each, grade in grades(verdict).items() if grade is Grade.BAD} - {"reading"}
    assert blamed == {topic}, "nothing else is blamed"


def test_pale_print_or_a_veiled_lens_is_low_contrast() -> None:
    veiled = [(150 + 0.15 * luma.astype(np.float32)).astype(np.uint8) for luma in pictures()]
    verdict = judged(veiled)
    assert "% contrast" in said(verdict, "light")
    assert "Wipe the lens" in said(verdict, "light")


def test_over_exposure_is_no_reflection() -> None:
    burnt = [np.clip(1.3 * luma.astype(np.float32), 0, 255).astype(np.uint8) for luma in pictures(noise=2)]
    verdict = judged(burnt)
    assert "over-exposed. Lower exposure_us" in said(verdict, "light")
    assert verdict.passed, "it is read all the same"


def test_no_code_in_view_is_said_as_such() -> None:
    dice = np.random.default_rng(1)
    verdict = judged([render(EMPTY, 640, 480, dice) for _ in range(3)])
    assert not verdict.passed
    assert "no code in any of 3 pictures; hold a pack" in said(verdict, "code")


def test_no_picture_at_all_is_no_good_camera() -> None:
    assert not judge([], 0, Setting(frames_per_second=15)).passed


def test_what_is_sharp_now_and_then_moves_and_is_not_out_of_focus() -> None:
    # Aslant, smear looks alike in both directions.
    shown = [*pictures(motion_px=7, motion_deg=45), *pictures()[:2]]
    looks = [look(luma, ()) for luma in shown]
    verdict = judge(looks, 0.4, Setting(frames_per_second=15, exposure_us=660))
    assert "it moves, since some pictures are sharp" in said(verdict, "sharpness")


def test_advice_comes_with_numbers() -> None:
    far = unread(module_px=1.1)
    assert "1.1 px per module, 2.2 are wanted and 1.8 needed" in said(far, "distance")
    # A lens of 66 degrees sees a module of 0.33 mm as 1.1 of 640 pixels from 15 cm: 640 / 2 / tan(33 deg) * 0.33 / 1.1.
    assert re.search(r"Come to 5\d% of the distance \(about 7 cm nearer, from about 1[45] cm\)", said(far, "distance"))
    moved = unread(motion_px=8)
    assert "us instead of 660" in said(moved, "sharpness")


def test_a_slow_reader_and_unmet_settings_are_told_and_forgiven() -> None:
    verdict = judged(pictures(), unmet=("gain: asked 2, but the camera does 1",))
    assert said(verdict, "settings") == "gain: asked 2, but the camera does 1"
    slow = judge([Look(width=640, bright=200, text=EAN)] * 3, 2.0, Setting(frames_per_second=15))
    assert said(slow, "pace").startswith("1.0 pictures a second are read through of the 15 asked")
    assert verdict.passed


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cart_firmware", "camera", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shown"


def photographed(folder: Path, **scene: float) -> str:
    folder.mkdir()
    for number, luma in enumerate(pictures(**scene)):
        cv2.imwrite(str(folder / f"{number}.png"), luma)
    return f"device=folder:{folder}"


@pytest.mark.processes
def test_an_installer_script_hears_that_a_camera_will_do(folder: Path, tmp_path: Path) -> None:
    answer = command(
        "--set",
        photographed(folder),
        "--set",
        "region=0,0,1,1",
        "--frames",
        "8",
        "--json",
        "--save",
        str(tmp_path / "kept"),
    )
    assert answer.returncode == 0, answer.stderr
    verdict = json.loads(answer.stdout)
    assert (verdict["passed"], verdict["frames"], verdict["read"], verdict["texts"]) == (True, 8, 8, [EAN])
    assert {"module_px", "blur_modules", "black", "white", "noise", "frames_per_second"} <= {*verdict}
    assert verdict["findings"][0] == {
        "topic": "reading", "grade": "good", "said": "8 of 8 pictures with a code in them were read (100%)",
    }  # fmt: skip
    kept = cv2.imread(str(tmp_path / "kept" / "camera-001.png"))
    assert kept.shape == (480, 640, 3)
    assert (kept == (0, 200, 0)).all(axis=2).any(), "the outline is drawn"


@pytest.mark.processes
def test_an_installer_reads_what_to_change(folder: Path) -> None:
    answer = command("--set", photographed(folder, module_px=0.7), "--frames", "4", "--set", "gain=2")
    assert answer.returncode == 1
    assert "4 pictures, 4 with a code in view, 0 read" in answer.stdout
    assert "distance: bad: 0." in answer.stdout
    assert "settings: could be better: gain: asked 2, but pictures are as they were taken" in answer.stdout
    assert "the camera will not do yet" in answer.stdout


@pytest.mark.processes
def test_a_camera_whose_program_fails_ends_with_its_last_words() -> None:
    dying = f"{sys.executable} -c 'import sys; sys.exit(\"ERROR: *** no cameras available ***\")'"
    answer = command("--set", f"device=pipe:{dying}", "--seconds", "5")
    assert answer.returncode == 2
    assert "the camera shows no picture, 15 a second were expected" in answer.stderr
    assert "exit status 1: ERROR: *** no cameras available ***" in answer.stderr
    assert "systemctl stop cartwright-cart" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.processes
def test_seconds_end_it_and_a_real_pipe_is_watched() -> None:
    film = (
        "import sys, time; size = 64 * 48\n"
        "while True: sys.stdout.buffer.write(bytes([200]) * size + bytes([128]) * (size // 2)); "
        "sys.stdout.flush(); time.sleep(0.02)"
    )
    answer = command(
        "--set", f"device=pipe:{sys.executable} -c {film!r}".replace("\\n", "\n"),
        "--set", "width=64", "--set", "height=48", "--seconds", "0.5", "--json",
    )  # fmt: skip
    assert answer.returncode == 1, answer.stderr
    verdict = json.loads(answer.stdout)
    assert verdict["frames"] >= 2
    assert verdict["in_view"] == 0
    assert "no code in any of" in verdict["findings"][0]["said"]


@pytest.mark.processes
def test_whoever_has_seen_enough_ends_it_by_ctrl_c_and_gets_the_verdict(folder: Path, tmp_path: Path) -> None:
    words = ["--set", photographed(folder), "--seconds", "100", "--save", str(tmp_path / "kept")]
    program = subprocess.Popen(
        [sys.executable, "-m", "cart_firmware", "camera", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "kept" / "camera-001.png").exists():
            assert time.monotonic() < deadline, "no picture was kept"
            time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=20)
    finally:
        program.kill()
    assert program.returncode == 0
    assert f"read: {EAN}" in said
    assert "the camera will do" in said


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("exposure=500", "no such key; write KEY=VALUE, KEY one of device, width"),
        ("exposure_us", "no such key"),
        ("exposure_us=-1", "Expected `int` >= 0 - at `$.exposure_us`"),
        ("region=0.5,0.5", "at `$.region`"),
        ("device=rpicam", "rpicam-vid is not installed"),
    ],
)
@pytest.mark.processes
def test_what_cannot_be_set_is_refused_with_a_remedy(change: str, why: str) -> None:
    answer = command("--set", change, "--frames", "1")
    assert answer.returncode == 2
    assert why in answer.stderr
    assert "Traceback" not in answer.stderr
