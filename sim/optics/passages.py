"""Labelled clips of what a cart's camera sees: hands that put in and take out, and disturbances that are no hand.

The labels are the world's, apart from the frames: nothing that looks at the frames is shown them.
"""

import math
from collections.abc import Callable, Iterator
from random import Random

import msgspec
import numpy as np

from sim.goods_looks import LOOSE, pack_looks
from sim.optics.basket import FOOT, RIM, Arm, Inside, painted
from sim.optics.goods_shots import Handling, heap_mm
from sim.optics.hands import Reach, seen
from sim.optics.label import Luma
from sim.optics.things import FRAME_MM, LONGEST, SHORTEST, Thing

WIDTH, HEIGHT = 640, 480
FRAMES_PER_SECOND = 30
_LEAD_S, _REST_S = 1.0, 1.4
"""Before the first hand and after the last."""


class Passage(msgspec.Struct, frozen=True):
    """One hand over the rim, or two at once, and what truly went over it."""

    from_s: float
    until_s: float
    way: str
    """'in', 'out', 'both' (an exchange) or 'nothing' (an empty hand, or the same thing in and out)."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of film before it is filmed."""

    seconds: float
    view: Callable[[float], Inside]
    truth: tuple[Passage, ...] = ()
    light: Callable[[float], float] = lambda _: 1.0
    noise: float = 3.0
    """Standard deviation of the sensor's noise, grey levels."""
    lost: float = 0.0
    """Share of frames that never arrive."""
    frames_per_second: int = FRAMES_PER_SECOND
    basket: int = 1
    seed: int = 1

    def frames(self) -> Iterator[tuple[int, Luma]]:
        """Yield when each frame was complete, in microseconds, and the frame: the same again with every call."""
        dice = np.random.default_rng([self.seed, 5])
        grain = dice.normal(0, self.noise, (HEIGHT + 64, WIDTH + 64)).astype(np.float32)
        for number in range(round(self.seconds * self.frames_per_second)):
            time_s = number / self.frames_per_second
            down, right = dice.integers(64, size=2)
            if dice.random() < self.lost:
                continue
            picture = painted(self.view(time_s), WIDTH, HEIGHT, self.basket).astype(np.float32)
            picture *= self.light(time_s)
            picture += grain[down : down + HEIGHT, right : right + WIDTH]
            yield round(time_s * 1e6), picture.clip(0, 255).astype(np.uint8)


# ── goods ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _thing(dice: Random, *, size: float = 1.0, faint: bool = False) -> Thing:
    """Return a pack somewhere in the basket; a share of a frame's width of 0.1 is some six centimetres."""
    length = dice.uniform(0.09, 0.26) * size
    return Thing(
        x=dice.uniform(0.15, 0.85), y=dice.uniform(0.1, 0.38), length=length,
        width=length * dice.uniform(0.4, 0.95), turn_deg=dice.uniform(-180, 180),
        tone=dice.randint(112, 126) if faint else dice.choice((dice.randint(25, 90), dice.randint(90, 235))),
        contrast=dice.randint(5, 12) if faint else dice.randint(15, 90),
        seed=dice.randrange(1 << 20), round=dice.random() < 0.3,
    )  # fmt: skip


def _goods(dice: Random, most: int) -> tuple[Thing, ...]:
    return tuple(_thing(dice) for _ in range(dice.randint(0, most)))


class _Look(msgspec.Struct, frozen=True):
    """A person's arm."""

    width: float
    sleeve: int
    skin: int
    shade: float


def _person(dice: Random) -> _Look:
    return _Look(
        dice.uniform(0.10, 0.16), dice.choice((25, 50, 75, 120, 180, 225)), dice.randint(80, 190),
        dice.choice((0.0, 0.15, 0.35)),
    )  # fmt: skip


def _reach(dice: Random, look: _Look, **what: object) -> Reach:
    given: dict[str, object] = {
        "at_s": _LEAD_S, "duration_s": dice.uniform(1.0, 2.6), "seed": dice.randrange(1 << 20),
        "width": look.width, "sleeve": look.sleeve, "skin": look.skin, "shade": look.shade,
        "touches": (dice.uniform(0.2, 0.8), dice.uniform(0.12, 0.36)),
        "exposure_s": dice.choice((0.0007, 0.002, 0.008)),
    }  # fmt: skip
    return msgspec.convert(given | what, Reach)


def _clip(dice: Random, lying: tuple[Thing, ...], reaches: tuple[Reach, ...], way: str, **film: object) -> Clip:
    last = max(reach.at_s + reach.duration_s for reach in reaches)
    first = min(reach.at_s for reach in reaches)
    given: dict[str, object] = {
        "seconds": last + _REST_S, "view": lambda time_s: seen(lying, reaches, time_s),
        "truth": (Passage(first, last, way),), "noise": dice.uniform(1.5, 4.0), "basket": dice.randrange(8),
        "seed": dice.randrange(1 << 20),
    }  # fmt: skip
    return Clip(**(given | film))  # type: ignore[arg-type]


# ── passages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def put_in(dice: Random) -> Clip:
    thing = _thing(dice)
    return _clip(dice, _goods(dice, 4), (_reach(dice, _person(dice), brings=thing),), "in")


def take_out(dice: Random) -> Clip:
    thing = _thing(dice)
    return _clip(dice, (*_goods(dice, 4), thing), (_reach(dice, _person(dice), fetches=thing),), "out")


def exchange(dice: Random) -> Clip:
    """One hand puts something down, takes something else up, and leaves."""
    brought, fetched = _apart(dice)
    reach = _reach(dice, _person(dice), brings=brought, fetches=fetched, duration_s=dice.uniform(1.8, 3.0))
    return _clip(dice, (*_goods(dice, 3), fetched), (reach,), "both")


def exchange_by_two_hands(dice: Random) -> Clip:
    brought, fetched = _apart(dice)
    look = _person(dice)
    left = _reach(dice, look, brings=brought, elbow=0.15 if brought.x < fetched.x else 0.85)
    right = _reach(
        dice, look, fetches=fetched, elbow=0.85 if brought.x < fetched.x else 0.15, at_s=_LEAD_S + dice.uniform(0, 0.5)
    )
    return _clip(dice, (*_goods(dice, 3), fetched), (left, right), "both")


def rummage(dice: Random) -> Clip:
    """An empty hand comes and goes."""
    return _clip(dice, _goods(dice, 6), (_reach(dice, _person(dice)),), "nothing")


def move_over(dice: Random) -> Clip:
    """A hand lays something elsewhere in the basket."""
    before = _thing(dice)
    after = msgspec.structs.replace(
        before, x=min(0.9, max(0.1, before.x + dice.choice((-1, 1)) * dice.uniform(0.08, 0.3))),
        turn_deg=before.turn_deg + dice.uniform(-60, 60),
    )  # fmt: skip
    reach = _reach(dice, _person(dice), touches=((before.x + after.x) / 2, before.y), duration_s=dice.uniform(1.4, 2.6))
    goods, middle = _goods(dice, 4), reach.at_s + reach.duration_s / 2

    def view(time_s: float) -> Inside:
        share = min(1.0, max(0.0, (time_s - middle + 0.3) / 0.6))
        now = msgspec.structs.replace(
            before, x=before.x + share * (after.x - before.x),
            turn_deg=before.turn_deg + share * (after.turn_deg - before.turn_deg),
        )  # fmt: skip
        return seen((*goods, now), (reach,), time_s)

    return _clip(dice, (), (reach,), "nothing", view=view)


def show(dice: Random) -> Clip:
    """A pack is held over the basket, and goes away again."""
    shown = _thing(dice)
    reach = _reach(dice, _person(dice), shows=shown, duration_s=dice.uniform(1.6, 3.0))
    return _clip(dice, _goods(dice, 4), (reach,), "nothing")


def put_in_faint(dice: Random) -> Clip:
    return _clip(dice, (), (_reach(dice, _person(dice), brings=_thing(dice, faint=True)),), "in")


def take_out_faint(dice: Random) -> Clip:
    thing = _thing(dice, faint=True)
    return _clip(dice, (thing,), (_reach(dice, _person(dice), fetches=thing),), "out")


def put_in_small(dice: Random) -> Clip:
    """Chewing gum, a lemon."""
    return _clip(dice, _goods(dice, 3), (_reach(dice, _person(dice), brings=_thing(dice, size=0.5)),), "in")


def take_out_small(dice: Random) -> Clip:
    thing = _thing(dice, size=0.5)
    return _clip(dice, (*_goods(dice, 3), thing), (_reach(dice, _person(dice), fetches=thing),), "out")


def child(dice: Random) -> Clip:
    look = msgspec.structs.replace(_person(dice), width=dice.uniform(0.06, 0.085))
    thing = _thing(dice, size=0.8)
    inward = dice.random() < 0.5
    reach = _reach(dice, look, **{"brings" if inward else "fetches": thing}, duration_s=dice.uniform(1.6, 3.2))
    return _clip(dice, () if inward else (thing,), (reach,), "in" if inward else "out")


def two_hands(dice: Random) -> Clip:
    """Something large, carried by both hands."""
    thing = _thing(dice, size=1.5)
    inward, look = dice.random() < 0.5, _person(dice)
    first = _reach(dice, look, **{"brings" if inward else "fetches": thing}, elbow=0.25)
    second = _reach(
        dice, look, at_s=first.at_s, duration_s=first.duration_s, elbow=0.75, touches=(thing.x, thing.y + 0.05)
    )
    return _clip(dice, () if inward else (thing,), (first, second), "in" if inward else "out")


def quick(dice: Random) -> Clip:
    """Half a second, at a long exposure: a smear."""
    thing, inward = _thing(dice), dice.random() < 0.5
    what = {"brings" if inward else "fetches": thing}
    reach = _reach(dice, _person(dice), **what, duration_s=dice.uniform(0.5, 0.8), exposure_s=0.008)
    return _clip(dice, _goods(dice, 2) if inward else (*_goods(dice, 2), thing), (reach,), "in" if inward else "out")


def linger(dice: Random) -> Clip:
    """A hand stays for seconds before it puts down or takes up."""
    thing, inward = _thing(dice), dice.random() < 0.5
    reach = _reach(dice, _person(dice), **{"brings" if inward else "fetches": thing}, duration_s=dice.uniform(3.2, 5.0))
    return _clip(dice, () if inward else (thing,), (reach,), "in" if inward else "out")


def in_bad_light(dice: Random) -> Clip:
    """Lamps that flicker, or an exposure that is adjusted in the middle."""
    made = dice.choice((put_in, take_out))(dice)
    return msgspec.structs.replace(made, light=_flicker(dice) if dice.random() < 0.5 else _steps(dice, made.seconds))


def in_few_frames(dice: Random) -> Clip:
    """A third to a half of the frames lost, or a camera of 12 a second."""
    made = dice.choice((put_in, take_out))(dice)
    if dice.random() < 0.5:
        return msgspec.structs.replace(made, lost=dice.uniform(0.3, 0.5))
    return msgspec.structs.replace(made, frames_per_second=12)


def settles(dice: Random) -> Clip:
    """What was put in slides on, or makes others slide."""
    made = put_in(dice)
    end, way = made.truth[0].until_s, dice.uniform(-0.06, 0.06)

    def view(time_s: float) -> Inside:
        inside = made.view(time_s)
        share = min(1.0, max(0.0, (time_s - end + 0.5) / 0.4))
        if not share or not inside.things:
            return inside
        *rest, last = inside.things
        return msgspec.structs.replace(inside, things=(*rest, msgspec.structs.replace(last, x=last.x + share * way)))

    return msgspec.structs.replace(made, view=view)


def thrown_in(dice: Random) -> Clip:
    """It flies in; the hand stays outside."""
    thing, goods = _thing(dice), _goods(dice, 3)
    took, from_x = dice.uniform(0.25, 0.45), dice.uniform(0.2, 0.8)

    def view(time_s: float) -> Inside:
        share = (time_s - _LEAD_S) / took
        if share < 0:
            return Inside(things=goods)
        if share >= 1:
            return Inside(things=(*goods, thing))
        x, y = from_x + share * (thing.x - from_x), FOOT + 0.2 + share * (thing.y - FOOT - 0.2)
        flying = msgspec.structs.replace(thing, x=x, y=y, turn_deg=thing.turn_deg - 90 * (1 - share))
        return Inside(things=goods, moving=(flying,))

    return Clip(
        seconds=_LEAD_S + took + _REST_S, view=view, truth=(Passage(_LEAD_S, _LEAD_S + took, "in"),),
        noise=dice.uniform(1.5, 4.0), basket=dice.randrange(8), seed=dice.randrange(1 << 20),
    )  # fmt: skip


def full_basket(dice: Random) -> Clip:
    lying = tuple(_thing(dice) for _ in range(dice.randint(8, 14)))
    if dice.random() < 0.5:
        return _clip(dice, lying, (_reach(dice, _person(dice), brings=_thing(dice)),), "in")
    return _clip(dice, lying, (_reach(dice, _person(dice), fetches=lying[-1]),), "out")


def goods_put_in(dice: Random) -> Clip:
    """Painted goods in their true size: loose ones, up to three pieces, and packs."""
    return _clip(dice, _painted(dice, 4), (_reach(dice, _person(dice), brings=_good(dice)),), "in")


def goods_taken_out(dice: Random) -> Clip:
    good = _good(dice)
    return _clip(dice, (*_painted(dice, 4), good), (_reach(dice, _person(dice), fetches=good),), "out")


def goods_exchanged(dice: Random) -> Clip:
    brought, fetched = _apart(dice, _good)
    reach = _reach(dice, _person(dice), brings=brought, fetches=fetched, duration_s=dice.uniform(1.8, 3.0))
    return _clip(dice, (*_painted(dice, 3), fetched), (reach,), "both")


def _painted(dice: Random, most: int) -> tuple[Thing, ...]:
    return tuple(_good(dice) for _ in range(dice.randint(0, most)))


def _good(dice: Random) -> Thing:
    """Return painted goods that lie somewhere in the basket, as in sim/optics/contents.py."""
    how = Handling(pieces=dice.randint(1, 3))
    if dice.random() < 0.5:
        looks = dice.choice(list(LOOSE.values())).looks
    else:
        number, grams = f"{dice.randrange(10**13):013}", 10 ** dice.uniform(1.8, 3.2)
        looks, how = (
            pack_looks(number, f"Pack {dice.choice(('tin', 'jam', 'bottle', 'rice', 'tea'))}", grams),
            Handling(),
        )
    edge = min(LONGEST, max(SHORTEST, heap_mm(looks, how) / FRAME_MM))
    return Thing(
        x=dice.uniform(0.15, 0.85), y=dice.uniform(0.1, min(0.38, RIM - 0.02 - edge / 2)), length=edge, width=edge,
        turn_deg=dice.uniform(-180, 180), seed=dice.randrange(1 << 20), looks=looks, pieces=how.pieces,
    )  # fmt: skip


PASSAGES: dict[str, Callable[[Random], Clip]] = {
    "put in": put_in,
    "take out": take_out,
    "exchange": exchange,
    "exchange, two hands": exchange_by_two_hands,
    "empty hand": rummage,
    "moved over": move_over,
    "shown, not put in": show,
    "put in, faint": put_in_faint,
    "take out, faint": take_out_faint,
    "put in, small": put_in_small,
    "take out, small": take_out_small,
    "child": child,
    "two hands, large": two_hands,
    "quick, smeared": quick,
    "lingering": linger,
    "bad light": in_bad_light,
    "frames lost": in_few_frames,
    "slides on": settles,
    "thrown in": thrown_in,
    "full basket": full_basket,
}
"""Each called with dice."""


PAINTED: dict[str, Callable[[Random], Clip]] = {
    "goods put in": goods_put_in,
    "goods taken out": goods_taken_out,
    "goods exchanged": goods_exchanged,
}
"""Likewise; counted apart, so that figures of those above can be compared with earlier ones."""


# ── disturbances ─────────────────────────────────────────────────────────────────────────────────────────────────────


def flickering(dice: Random) -> Clip:
    return _undisturbed(dice, light=_flicker(dice))


def exposure(dice: Random) -> Clip:
    """Steps of the camera's exposure, and lamps that go off and on."""
    return _undisturbed(dice, light=_steps(dice, 10.0))


def rolling(dice: Random) -> Clip:
    """A pushed cart: the floor goes by beneath the mesh and beyond the rim, and the camera trembles."""
    goods, speed = _goods(dice, 5), dice.uniform(0.3, 1.6)
    tremor, phase = dice.uniform(0.0004, 0.0015), dice.uniform(0, math.tau)

    def view(time_s: float) -> Inside:
        rolls = max(0.0, min(time_s - 1.0, 8.0))
        shake = tremor if 1.0 < time_s < 9.0 else 0.0
        return Inside(
            things=goods, floor=speed * rolls,
            shake=(shake * math.sin(67 * time_s + phase), shake * math.sin(91 * time_s)),
        )  # fmt: skip

    return _undisturbed(dice, view=view)


def goods_roll(dice: Random) -> Clip:
    """Something round rolls about, and comes to rest."""
    goods, ball = _goods(dice, 4), msgspec.structs.replace(_thing(dice), round=True)
    pace, swing = dice.uniform(1.0, 4.0), dice.uniform(0.1, 0.3)

    def view(time_s: float) -> Inside:
        since = max(0.0, time_s - 1.0)
        away = swing * math.sin(pace * since) * math.exp(-since / 2)
        now = msgspec.structs.replace(
            ball, x=0.5 + away, y=min(ball.y + abs(away) / 2, RIM - 0.08), turn_deg=500 * away
        )
        return Inside(things=goods, moving=(now,))

    return _undisturbed(dice, view=view)


def lean_over(dice: Random) -> Clip:
    """A person leans over the rim and looks in: head and shoulders, no hand."""
    goods, tone, side = _goods(dice, 5), dice.choice((30, 60, 110, 190)), dice.uniform(0.25, 0.75)
    depth, sway = dice.uniform(0.05, 0.3), dice.uniform(0.5, 2.0)

    def view(time_s: float) -> Inside:
        lean = math.sin(math.pi * min(1.0, max(0.0, (time_s - 1.5) / 6.0))) ** 0.5 * (depth + 0.4)
        palm = (side + 0.02 * math.sin(sway * time_s), FOOT + 0.35 - lean)
        body = Arm(elbow=(side, FOOT + 0.9), palm=palm, width=0.4, sleeve=tone, skin=tone + 20, seed=3)
        return Inside(things=goods, arms=(body,))

    return _undisturbed(dice, view=view)


def walk_by(dice: Random) -> Clip:
    """People and carts go by beyond the rim."""
    goods = _goods(dice, 5)
    passers = [(dice.uniform(1, 8), dice.choice((-1, 1)), dice.choice((30, 70, 160, 220))) for _ in range(4)]

    def view(time_s: float) -> Inside:
        bodies = tuple(
            Arm(elbow=(x, FOOT + 0.6), palm=(x, RIM + 0.16), width=0.25, sleeve=tone, skin=tone + 15, seed=number)
            for number, (at_s, way, tone) in enumerate(passers)
            if -0.4 < (x := 0.5 + way * (time_s - at_s) * 0.6) < 1.4
        )
        return Inside(things=goods, arms=bodies)

    return _undisturbed(dice, view=view)


DISTURBANCES: dict[str, Callable[[Random], Clip]] = {
    "flickering lamps": flickering,
    "exposure, lamps off": exposure,
    "rolling cart": rolling,
    "goods roll": goods_roll,
    "leaning over": lean_over,
    "people pass": walk_by,
}
"""Each called with dice; ten seconds in which nothing goes over the rim."""


def _undisturbed(dice: Random, **film: object) -> Clip:
    goods = _goods(dice, 5)
    given: dict[str, object] = {
        "seconds": 10.0, "view": lambda _: Inside(things=goods), "noise": dice.uniform(1.5, 4.0),
        "basket": dice.randrange(8), "seed": dice.randrange(1 << 20),
    }  # fmt: skip
    return Clip(**(given | film))  # type: ignore[arg-type]


def _flicker(dice: Random) -> Callable[[float], float]:
    """A lamp on mains of 50 Hz seen by a short exposure: its beat with the frames, and a ballast that dies."""
    depth, beat = dice.uniform(0.03, 0.2), dice.uniform(0.3, 12)
    return lambda time_s: 1.0 - depth * (0.5 + 0.5 * math.sin(math.tau * beat * time_s))


def _steps(dice: Random, seconds: float) -> Callable[[float], float]:
    """The light jumps and the exposure follows in half a second, again and again."""
    jumps = [(dice.uniform(0.5, seconds), dice.uniform(0.5, 1.6)) for _ in range(dice.randint(1, 3))]

    def light(time_s: float) -> float:
        level = 1.0
        for at_s, factor in jumps:
            if time_s >= at_s:
                level *= 1 + (factor - 1) * math.exp(-(time_s - at_s) / 0.5)
        return min(1.5, level)

    return light


def _apart(dice: Random, make: Callable[[Random], Thing] = _thing) -> tuple[Thing, Thing]:
    """Return two things that lie in different places."""
    first = make(dice)
    while True:
        second = make(dice)
        if math.hypot(first.x - second.x, first.y - second.y) > 0.2:
            return first, second
