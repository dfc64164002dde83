"""Staff show a cart a product: which pictures become shots, what the test says, and how it reaches the store."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cart_firmware.core.decision import Way
from cart_firmware.core.recording import Cropped, read_segment
from cart_firmware.devices.segment_ring import read
from cart_firmware.perception.embedder import Picture
from cart_firmware.perception.product_index import Floats, unit
from cart_firmware.perception.self_test import learned
from cart_firmware.perception.shots import Look, Seen, Shots
from cart_firmware.services.enrol import Enrolment
from cart_firmware.services.sense import HandWatch
from cart_protocol.basket import Phase
from cart_protocol.ids import LessonId, ProductId
from cart_protocol.messages import LessonKept, LessonLearned, LessonShown, LessonWanted, StoreMessage
from cart_protocol.sight import Verdict
from sim.virtual_time import VirtualTimeLoop
from tests.cart_firmware.cart_rig import Rig, on_virtual_time
from tests.cart_firmware.test_cart_hands import Onlooker
from tests.cart_firmware.test_sight import FIG, SHIPPED, SMALL, shots, sights, small_knowledge

LESSON = LessonId("01a")
RED, GREEN = (40, 40, 190), (60, 180, 60)


def table(seed: int = 0) -> Picture:
    """Return an empty counter before a camera, BGR, with the noise of one picture."""
    dice = np.random.default_rng(seed)
    lit = np.tile(np.linspace(120, 170, 320), (240, 1))[:, :, None] + dice.normal(0, 2, (240, 320, 3))
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def fruit(turn: int, colour: tuple[int, int, int] = RED, *, seed: int = 0, at: tuple[int, int] = (160, 120)) -> Picture:
    """Return the counter with a speckled fruit on it; every turn shows another side of it."""
    picture, dice = table(seed), np.random.default_rng(100 + turn)
    cv2.circle(picture, at, 55, colour, -1)
    for _ in range(25):
        angle, way = dice.uniform(0, 6.28), dice.uniform(0, 50)
        spot = int(at[0] + way * np.cos(angle)), int(at[1] + way * np.sin(angle))
        cv2.circle(picture, spot, int(dice.integers(3, 9)), tuple(int(0.4 * part) for part in colour), -1)
    return picture


class Film:
    """Pictures for Shots, fifteen a second."""

    def __init__(self) -> None:
        self._shots, self._at_us, self._number = Shots(), 0, 0

    def play(self, paint: Callable[[int], Picture], count: int = 10) -> list[Look]:
        """Return what each of so many pictures is; `paint` has the number of the picture, for its noise."""
        looks = []
        for _ in range(count):
            self._at_us += 66_667
            self._number += 1
            picture = paint(self._number)
            split = cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)
            planes = np.stack([cv2.resize(split[:, :, place], (160, 120)) for place in (2, 1)])
            looks.append(self._shots.see(self._at_us, np.ascontiguousarray(split[:, :, 0]), planes, limited=False))
        return looks


def taken(looks: list[Look]) -> int:
    return sum(look.seen is Seen.SHOT for look in looks)


# ── which pictures become shots ──────────────────────────────────────────────────────────────────────────────────────


def test_a_fruit_that_is_put_down_and_turned_gives_a_shot_each_time() -> None:
    film = Film()
    assert taken(film.play(table)) == 0
    for turn in range(5):
        assert taken(film.play(lambda n, turn=turn: fruit(turn, seed=n))) == 1, "one, however long it lies there"


def test_an_empty_view_is_no_shot_however_long_it_lasts_or_how_the_light_changes() -> None:
    film = Film()
    film.play(table)
    darker = film.play(lambda n: np.asarray(table(n) * (1 - min(n, 40) / 100), np.uint8), 60)
    assert taken(darker) == 0


def test_what_is_taken_away_again_leaves_no_shot() -> None:
    film = Film()
    film.play(table)
    film.play(lambda n: fruit(1, seed=n))
    gone = film.play(table, 20)
    assert taken(gone) == 0
    assert gone[-1].seen is Seen.EMPTY


def test_what_moves_is_not_taken_until_it_rests() -> None:
    film = Film()
    film.play(table)
    waving = film.play(lambda n: fruit(1, seed=n, at=(90 + 23 * (n % 7), 120)), 30)
    assert taken(waving) == 0
    assert Seen.MOVING in {look.seen for look in waving}
    assert taken(film.play(lambda n: fruit(1, seed=n))) == 1


def test_a_hand_that_trembles_gives_one_shot_and_no_more() -> None:
    film, dice = Film(), np.random.default_rng(5)
    film.play(table)

    def held(number: int) -> Picture:
        x, y = dice.integers(-1, 2, 2)
        return fruit(1, seed=number, at=(160 + int(x), 120 + int(y)))

    assert taken(film.play(held, 30)) == 1


def test_what_is_out_of_focus_is_not_taken() -> None:
    film = Film()
    film.play(table)
    soft = film.play(lambda n: np.asarray(cv2.GaussianBlur(fruit(1, seed=n), (0, 0), 14), np.uint8), 20)
    assert taken(soft) == 0
    assert soft[-1].seen is Seen.BLURRED


def test_a_shot_is_cut_out_in_colour_about_the_thing() -> None:
    film = Film()
    film.play(table)
    (crop,) = [
        look.crop for look in film.play(lambda n: fruit(1, GREEN, seed=n, at=(240, 170))) if look.crop is not None
    ]
    assert crop.shape[0] == crop.shape[1]
    assert 90 <= crop.shape[0] <= 160, "the fruit is 110 across"
    blue, green, red = crop[crop.shape[0] // 2, crop.shape[1] // 2].astype(int)
    assert green > max(blue, red), "its own colours, not those of another place"


# ── the test before it goes live ─────────────────────────────────────────────────────────────────────────────────────


def near(middle: Floats, seed: int, count: int, scatter: float) -> Floats:
    dice = np.random.default_rng(seed)
    return unit((middle + scatter * dice.normal(size=(count, len(middle))) / len(middle) ** 0.5).astype(np.float32))


def test_a_product_unlike_all_others_is_safe() -> None:
    found = learned(FIG, shots(1, 5, SMALL), small_knowledge())
    assert (found.verdict, found.right, found.taught.look_alikes) == (Verdict.SAFE, 5, ())
    assert found.taught.shots == 5


def test_a_product_like_a_known_one_needs_a_tap_and_says_which() -> None:
    known = small_knowledge()
    found = learned(FIG, near(known.index.prototypes[2], 3, 5, 0.6), known)
    assert found.verdict is Verdict.TAP
    assert found.taught.look_alikes[0] == "shipped-2"
    assert found.resembles[0].taken_for > 0
    assert learned(FIG, near(known.index.prototypes[2], 3, 1, 0.6), known).verdict is Verdict.TAP, (
        "one shot tells as well"
    )


def test_a_product_is_no_look_alike_of_itself() -> None:
    known = small_knowledge()
    same = near(known.index.prototypes[2], 3, 5, 0.6)
    assert learned(FIG, same, known, same=["shipped-2"]).verdict is Verdict.SAFE
    assert learned(ProductId("shipped-2"), same, known).verdict is Verdict.SAFE, (
        "taught again, it replaces what was known"
    )


def test_shots_of_several_things_are_to_be_shown_again() -> None:
    mixed = np.vstack([shots(seed, 1, SMALL) for seed in range(5)])
    found = learned(FIG, mixed, small_knowledge())
    assert found.verdict is Verdict.SCATTERED
    assert found.right < 5


def test_none_or_too_many_shots_are_refused_by_number() -> None:
    for count in (0, 11):
        with pytest.raises(ValueError, match=f"{count} shots of {FIG}"):
            learned(FIG, shots(1, 11, SMALL)[:count], small_knowledge())


def test_of_ten_shots_nothing_is_kept_but_one_vector(tmp_path: Path) -> None:
    enrolment = Enrolment(sights(tmp_path), FIG, 10)
    for turn in range(10):
        enrolment.add(fruit(turn))
    kept = enrolment.result().taught
    assert len(kept.vector) == 2 * SHIPPED.index.prototypes.shape[1]
    assert kept.shots == 10


# ── a lesson on a cart ───────────────────────────────────────────────────────────────────────────────────────────────


class Lectern:
    """A store that wants a lesson, and says so every two seconds like the real one."""

    def __init__(self, rig: Rig, shots: int = 3, lesson: LessonId = LESSON) -> None:
        self.rig, self._shots, self._lesson = rig, shots, lesson
        self.going_on = True

    def say(self, message: StoreMessage) -> None:
        self.rig.store.say(message)

    def ask(self, *, stop: bool = False) -> None:
        self.say(LessonWanted(lesson=self._lesson, product=FIG, name="Figs", shots=self._shots, stop=stop))

    async def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            if self.going_on:
                self.ask()
            await asyncio.sleep(0.5)

    async def show(self, turn: int) -> None:
        self.rig.camera.paint(fruit(turn))
        await self.wait(1.5)

    @property
    def told(self) -> list[LessonShown]:
        return [each for each in self.rig.store.heard if isinstance(each, LessonShown)]

    @property
    def learned(self) -> list[LessonLearned]:
        return [each for each in self.rig.store.heard if isinstance(each, LessonLearned)]


def play(
    tmp_path: Path, story: Callable[[Rig, Lectern], Coroutine[Any, Any, None]], shots: int = 3,
    hands: HandWatch | None = None,
) -> None:  # fmt: skip
    async def told(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path / "cart")
        rig.folder.mkdir()
        rig.sights = lambda: sights(rig.folder)
        rig.camera.paint(table())
        rig.hands = hands
        await rig.start()
        await story(rig, Lectern(rig, shots))
        await rig.stop()

    on_virtual_time(told)


def test_three_turns_of_a_fruit_are_learned_and_offered_until_the_store_has_them(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1.5)
        assert rig.sentence.startswith("Figs: 0 of 3.")
        assert not rig.cart.show_case.view().code, "nobody binds a cart by mistake that is being shown something"
        for turn in range(3):
            await lectern.show(turn)
            assert max(said.shots for said in lectern.told) == min(turn + 1, 2) or lectern.learned
        found = lectern.learned[0]
        assert (found.lesson, found.learned.taught.product, found.learned.taught.shots) == (LESSON, FIG, 3)
        assert found.learned.taught.network_sha256 == SHIPPED.space_sha256
        lectern.going_on = False
        before = len(lectern.learned)
        await asyncio.sleep(40)
        assert len(lectern.learned) > before, "the store did not say that it has it"
        lectern.say(LessonKept(lesson=LESSON))
        await asyncio.sleep(1)
        after = len(lectern.learned)
        await asyncio.sleep(40)
        assert len(lectern.learned) == after
        assert list((rig.folder / "lessons").iterdir()) == []
        assert "Figs" not in rig.sentence

    play(tmp_path, story)


def test_what_was_learned_survives_kill_9_before_the_store_heard_of_it(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1.5)
        for turn in range(2):
            await lectern.show(turn)
        rig.camera.paint(fruit(2))
        for _ in range(50):
            lectern.ask()
            await asyncio.sleep(0.1)
            if list(rig.folder.glob("lessons/*.json")):
                break
        await rig.kill()
        rig.store.heard.clear()
        await rig.start()
        await asyncio.sleep(20)
        assert [each.learned.taught.shots for each in lectern.learned][:1] == [3]

    play(tmp_path, story)


def test_a_lesson_under_way_begins_anew_after_kill_9(tmp_path: Path) -> None:
    """Shots are nowhere but in memory: the store sees the count fall back, and staff go on from there."""

    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1.5)
        await lectern.show(0)
        assert lectern.told[-1].shots == 1
        rig.camera.paint(table())
        await rig.kill()
        await rig.start()
        await lectern.wait(2)
        assert (lectern.told[-1].shots, lectern.told[-1].reason) == (0, "")

    play(tmp_path, story)


def test_a_shopper_goes_first(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1.5)
        await rig.begin()
        assert rig.cart.fuse.basket.phase is Phase.SHOPPING
        await lectern.wait(1.5)
        assert lectern.told[-1].reason == "taken"
        assert "Figs" not in rig.sentence
        other = Lectern(rig, lesson=LessonId("02b"))
        other.ask()
        await asyncio.sleep(0.5)
        assert other.told[-1].reason == "in-use"

    play(tmp_path, story)


def test_a_lesson_ends_by_word_by_silence_and_for_want_of_goods(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1)
        lectern.ask(stop=True)
        await asyncio.sleep(1)
        assert lectern.told[-1].reason == "stopped"
        lectern.ask()
        await asyncio.sleep(0.5)
        assert lectern.told[-1].reason == "stopped", "the store did not hear it and asks again"

        silent = Lectern(rig, lesson=LessonId("02b"))
        silent.ask()
        await asyncio.sleep(1)
        assert "Figs" in rig.sentence
        await asyncio.sleep(35)
        assert "Figs" not in rig.sentence, "a store that is gone leaves no cart behind that shows no code"
        assert rig.cart.show_case.view().code

        slow = Lectern(rig, lesson=LessonId("03c"))
        await slow.wait(310)
        assert slow.told[-1].reason == "nobody"

    play(tmp_path, story)


def test_a_camera_that_shows_nothing_or_nonsense_ends_the_lesson_and_not_the_cart(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        rig.camera.dark = True
        await lectern.wait(20)
        assert lectern.told[-1].reason == "no-camera"
        rig.camera.dark, rig.camera.garbled = False, True
        garbled = Lectern(rig, lesson=LessonId("02b"))
        await garbled.wait(3)
        assert garbled.told[-1].reason == "failed"
        rig.camera.garbled = False
        again = Lectern(rig, lesson=LessonId("03c"))
        await again.wait(3)
        assert again.told[-1].reason == ""

    play(tmp_path, story)


def test_two_products_at_once_are_refused(tmp_path: Path) -> None:
    async def story(rig: Rig, lectern: Lectern) -> None:
        await lectern.wait(1)
        other = Lectern(rig, lesson=LessonId("02b"))
        other.ask()
        await asyncio.sleep(0.5)
        assert (other.told[-1].lesson, other.told[-1].reason) == ("02b", "busy")
        await lectern.wait(1)
        assert (lectern.told[-1].lesson, lectern.told[-1].reason) == (LESSON, "")

    play(tmp_path, story)


def test_of_what_is_shown_no_picture_is_recorded(tmp_path: Path) -> None:
    """The flight recorder keeps crops of hands; a lesson's goods and the staff's hands are none of its business."""

    async def story(rig: Rig, lectern: Lectern) -> None:
        assert isinstance(rig.hands, Onlooker)
        await lectern.wait(1.5)
        rig.hands.say(Way.UNSEEN)
        await lectern.show(0)
        assert lectern.told[-1].shots == 1
        lectern.ask(stop=True)
        await asyncio.sleep(1)
        assert await crops_recorded(rig) == 0
        rig.hands.say(Way.UNSEEN)
        await asyncio.sleep(1)
        assert await crops_recorded(rig) == 3, "it does keep them otherwise"

    play(tmp_path, story, hands=Onlooker())


async def crops_recorded(rig: Rig) -> int:
    await rig.cart.recorder.flush()
    found = read(rig.folder / "recording")
    entries = [entry for data in found.segments.values() for entry in read_segment(data, "").entries]
    return sum(isinstance(entry, Cropped) for entry in entries)


def test_a_cart_without_sight_says_that_it_takes_no_lessons(tmp_path: Path) -> None:
    async def story(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, tmp_path)
        await rig.start()
        Lectern(rig).ask()
        await asyncio.sleep(1)
        assert not rig.store.said.takes_lessons
        assert not Lectern(rig).told
        await rig.stop()

    on_virtual_time(story)
