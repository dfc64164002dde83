"""The script of one trip: where the cart rolls and stands, and what hands do, drawn from one seed."""

from enum import StrEnum
from random import Random

import msgspec

from sim.trips.deeds import PLAYS, Move, Play, Verb
from sim.trips.truth import Action, Deed, How, Kind, Scan, Situation, Truth

_MEDIAN_G, _SPREAD = 350.0, 0.85
"""Net masses of an assortment: lognormal, 15 g to 6 kg (the project's notes on exit tolerances)."""
_LIGHTEST_G, _HEAVIEST_G = 15.0, 6_000.0
_FULL_G = 18_000.0
"""Beyond that the shopper puts no more in, but takes out."""
_SLOPES_DEG = (0.0, 0.0, 0.0, 1.0, -1.0, 2.0, 3.0)
_LEAN_EVERY_S, _BUMP_EVERY_S, _CHILD_EVERY_S = 25.0, 60.0, 300.0
_JOINT_EVERY_S = 4.0
_REST_S = 5.0
_ANNOUNCED_S = 1.5
_WATCHED_S = 6.0
"""After a play that is staged: a cart asks three seconds after what it does not understand."""


class Manner(StrEnum):
    DROP = "drop"
    GENTLE = "gentle"
    SLOW = "slow"
    ROUND = "round"
    HANGING = "hanging"
    LIFT = "lift"


_MANNERS = {Manner.DROP: 45, Manner.GENTLE: 30, Manner.SLOW: 10, Manner.ROUND: 8, Manner.HANGING: 7}
_OF_MANNER = {Manner.SLOW: Situation.SLOW, Manner.ROUND: Situation.ROUND, Manner.HANGING: Situation.HANGING}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of trip it is to be."""

    minutes: float = 10.0
    rate_hz: int = 80
    deeds: float = 0.15
    """Which share of what people do belongs to a fraud or its look-alike."""
    play: str = ""
    """Only this of sim.trips.deeds.PLAYS, in a cart that stands and that nobody else touches, after some shopping."""
    frauds: bool = True
    """Whether thieves are among the shoppers; honest ones do something ordinary instead, and their look-alikes stay."""
    drift: bool = True
    """Whether the cell creeps and warms."""
    runs_away_g_per_min: float = 0.0
    """A broken cell: how fast its zero goes one way, beside what a sound one does."""
    noise_g: float = 0.45
    """Of a single conversion: HX711 at 80 a second behind a 50 kg cell."""
    lost: float = 1e-3
    """Share of conversions that are lost."""
    imu_noise_g: float = 0.002
    """Of one reading of each axis, as a share of gravity; a cheap accelerometer."""
    imu_bias_g: float = 0.003
    """How far each axis has gone since it was read on level floor, one standard deviation."""
    imu_askew_deg: float = 2.0
    """How far from upright it is mounted, one standard deviation each way."""


class Phase(msgspec.Struct, frozen=True):
    from_s: float
    until_s: float
    rolls: bool
    slope_deg: float


class Placed(msgspec.Struct, frozen=True):
    """How an action felt: `truth` says what it was."""

    began_s: float
    at_s: float
    mass_g: float
    manner: Manner


class Touch(msgspec.Struct, frozen=True):
    """A hand, a child or a bump: a force that goes again."""

    from_s: float
    until_s: float
    force_g: float
    tremor: float
    """Share of the force that sways."""


class Shock(msgspec.Struct, frozen=True):
    at_s: float
    size_g: float


class Story(msgspec.Struct, frozen=True):
    seconds: float
    phases: list[Phase]
    placed: list[Placed]
    touches: list[Touch]
    shocks: list[Shock]
    scans: list[Scan]
    truth: Truth


class _Thing(msgspec.Struct, frozen=True):
    product: int
    mass_mg: int
    nominal_mg: int
    sigma_mg: int
    own: bool = False
    """The shopper's bag, and nothing of the shop's."""


class _Doing(msgspec.Struct, frozen=True):
    """An action that is not labelled yet."""

    placed: Placed
    thing: _Thing
    kind: Kind
    deed: int | None
    two_hands: bool


def tell(seed: int, settings: Settings) -> Story:
    """Return the script of the trip with this seed."""
    return _Teller(seed, settings).story()


class _Teller:
    def __init__(self, seed: int, settings: Settings) -> None:
        self._dice = Random(f"{seed}/story")
        self._settings = settings
        self._now_s = 0.0
        self._phases: list[Phase] = []
        self._doings: list[_Doing] = []
        self._touches: list[Touch] = []
        self._shocks: list[Shock] = []
        self._scans: list[Scan] = []
        self._deeds: list[Deed] = []
        self._inside: list[_Thing] = []
        self._drawn = set[int]()

    def story(self) -> Story:
        if self._settings.play:
            self._stage()
        else:
            self._shop()
        self._doings.sort(key=lambda doing: doing.placed.at_s)
        return Story(
            self._now_s, self._phases, [doing.placed for doing in self._doings], self._touches, self._shocks,
            sorted(self._scans, key=lambda scan: scan.at_s), Truth(self._labelled(), self._deeds),
        )  # fmt: skip

    def _stage(self) -> None:
        """Shop a little, then do the one thing that is looked at."""
        (play,) = (play for play in PLAYS if play.name == self._settings.play)
        self._now_s += 5.0
        for _ in range(self._dice.randint(3, 8)):
            self._put_scanned(self._new())
            self._now_s += self._dice.uniform(4.0, 7.0)
        self._play(play)
        self._now_s += _WATCHED_S
        self._phases.append(Phase(0.0, self._now_s, rolls=False, slope_deg=0.0))
        self._rest(0.0)

    def _shop(self) -> None:
        end_s = self._settings.minutes * 60
        slope = 0.0
        while self._now_s < end_s:
            self._stand(slope)
            if self._now_s < end_s:
                slope = self._dice.choice(_SLOPES_DEG)
                self._roll(slope)
        self._disturb()
        self._rest(slope)

    # ── phases ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _stand(self, slope: float) -> None:
        dice, began_s = self._dice, self._now_s
        self._now_s += dice.uniform(1.0, 2.5)
        if dice.random() < 0.75:
            self._do_something()
            while dice.random() < 0.4:
                self._now_s += dice.uniform(3.0, 6.0)
                self._do_something()
        else:
            self._now_s += dice.uniform(1.0, 8.0)
        self._now_s += dice.uniform(0.6, 6.0)
        self._phases.append(Phase(began_s, self._now_s, rolls=False, slope_deg=slope))

    def _rest(self, slope: float) -> None:
        """Stand untouched at the end, as before a lane: what was put in last can still be seen."""
        began_s = max([self._now_s, *(touch.until_s for touch in self._touches)])
        self._phases.append(Phase(self._now_s, began_s + _REST_S, rolls=False, slope_deg=slope))
        self._now_s = began_s + _REST_S

    def _roll(self, slope: float) -> None:
        dice, began_s = self._dice, self._now_s
        lasting_s = dice.uniform(4.0, 12.0) if dice.random() < 0.9 else dice.uniform(12.0, 25.0)
        if dice.random() < 0.15:
            self._now_s += dice.uniform(0.5, lasting_s - 1.0)
            self._put_or_take()
        self._now_s = began_s + lasting_s
        at_s = began_s + dice.expovariate(1 / _JOINT_EVERY_S)
        while at_s < self._now_s:
            self._shocks.append(Shock(at_s, dice.uniform(100, 900)))
            at_s += dice.expovariate(1 / _JOINT_EVERY_S)
        self._phases.append(Phase(began_s, self._now_s, rolls=True, slope_deg=slope))

    # ── what people do ───────────────────────────────────────────────────────────────────────────────────────────

    def _do_something(self) -> None:
        dice = self._dice
        if dice.random() < self._settings.deeds and self._load_g() < _FULL_G:
            play = dice.choice(PLAYS)
            if play.honest or self._settings.frauds:
                self._play(play)
            else:
                self._put_or_take()
        elif dice.random() < 0.06 and self._load_g() < _FULL_G:
            self._put_scanned(self._new())
            self._now_s += dice.uniform(0.0, 0.35)
            self._put_scanned(self._new(), two_hands=True)
        elif dice.random() < 0.06:
            self._put_or_take()
            self._now_s += dice.uniform(0.9, 2.0)
            self._put_or_take()
        else:
            self._put_or_take()

    def _put_or_take(self) -> None:
        if self._inside and (self._load_g() > _FULL_G or self._dice.random() < 0.2):
            thing = self._dice.choice(self._inside)
            self._take(thing, kind=Kind.TARE_OUT if thing.own else Kind.REMOVE)
        else:
            self._put_scanned(self._new())

    def _put_scanned(self, thing: _Thing, *, two_hands: bool = False) -> None:
        self._tell(thing, self._now_s - self._dice.uniform(0.5, 4.0))
        self._put(thing, two_hands=two_hands)

    def _tell(self, thing: _Thing, at_s: float, how: How = How.SHOWN) -> None:
        self._scans.append(
            Scan(at_s=at_s, product=thing.product, nominal_mg=thing.nominal_mg, sigma_mg=thing.sigma_mg, how=how)
        )

    def _put(self, thing: _Thing, *, kind: Kind = Kind.ADD, deed: int | None = None, two_hands: bool = False) -> None:
        dice = self._dice
        manner = dice.choices(list(_MANNERS), list(_MANNERS.values()))[0]
        if two_hands:
            manner = Manner.GENTLE
        lasting_s = {Manner.DROP: 0.0, Manner.SLOW: dice.uniform(0.6, 2.5)}.get(manner, dice.uniform(0.15, 0.4))
        self._inside.append(thing)
        self._did(thing, manner, lasting_s, kind=kind, deed=deed, two_hands=two_hands)

    def _take(self, thing: _Thing, *, kind: Kind = Kind.REMOVE, deed: int | None = None) -> None:
        self._inside.remove(thing)
        self._did(thing, Manner.LIFT, self._dice.uniform(0.1, 0.35), kind=kind, deed=deed, two_hands=False)

    def _did(
        self, thing: _Thing, manner: Manner, lasting_s: float, *, kind: Kind, deed: int | None, two_hands: bool
    ) -> None:
        mass_mg = -thing.mass_mg if manner is Manner.LIFT else thing.mass_mg
        placed = Placed(self._now_s, self._now_s + lasting_s, mass_mg / 1_000, manner)
        self._doings.append(_Doing(placed, thing, kind, deed, two_hands))
        if not two_hands:
            self._now_s += lasting_s

    def _new(self, resembling_mg: float | None = None) -> _Thing:
        """Take something off a shelf: its pack weighs a little else than the catalogue says."""
        dice = self._dice
        nominal_g = min(_HEAVIEST_G, max(_LIGHTEST_G, _MEDIAN_G * dice.lognormvariate(0, _SPREAD)))
        if resembling_mg is not None:
            nominal_g = max(_LIGHTEST_G, resembling_mg / 1_000)
        sigma_g = _legal_error_g(nominal_g) / 3
        mass_g = max(10.0, dice.gauss(nominal_g, 0.6 * sigma_g))
        return _Thing(
            self._another(), round(mass_g * 1_000), round(nominal_g * 1_000), max(1_000, round(sigma_g * 1_000))
        )

    def _another(self) -> int:
        """Return the number of a product that was not on this trip yet."""
        number = self._dice.randrange(5_000)
        while number in self._drawn:
            number = (number + 1) % 5_000
        self._drawn.add(number)
        return number

    def _load_g(self) -> float:
        return sum(thing.mass_mg for thing in self._inside) / 1_000

    # ── frauds and their look-alikes ─────────────────────────────────────────────────────────────────────────────

    def _play(self, play: Play) -> None:
        number, began_s = len(self._deeds), self._now_s
        a = self._new()
        b = self._new(None if play.resembling is None else a.mass_mg * self._dice.uniform(*play.resembling))
        bag = msgspec.structs.replace(self._new(self._dice.uniform(40_000, 900_000)), own=True)
        cast = {"A": a, "B": b, "bag": bag}
        for place, move in enumerate(play.moves):
            if place:
                self._now_s += self._dice.uniform(*move.after_s)
            self._move(move, cast, number)
        self._deeds.append(
            Deed(
                name=play.name, number=play.number, honest=play.honest, from_s=began_s - 0.1, until_s=self._now_s,
            )
        )  # fmt: skip
        self._now_s += 2.5

    def _move(self, move: Move, cast: dict[str, _Thing], deed: int) -> None:
        match move.verb:
            case Verb.SCAN | Verb.STRIKE:
                how = How.STRUCK if move.verb is Verb.STRIKE else How.SHOWN
                self._tell(cast.get(move.what, cast["A"]), self._now_s, how)
            case Verb.PUT:
                self._put(cast[move.what], deed=deed)
            case Verb.PUT_TOO:
                self._put(cast[move.what], deed=deed, two_hands=True)
            case Verb.TAKE:
                self._take(cast[move.what], deed=deed)
            case Verb.BAG:
                self._tell(cast["bag"], self._now_s - _ANNOUNCED_S, How.OWN)
                self._put(cast["bag"], kind=Kind.TARE_IN, deed=deed)
            case Verb.BAG_OUT:
                self._take(cast["bag"], kind=Kind.TARE_OUT, deed=deed)
            case Verb.HOLD_UP:
                force_g = -cast["A"].mass_mg / 1_000 * self._dice.uniform(0.8, 1.2)
                self._touch(self._now_s, self._dice.uniform(1.5, 4.0), force_g)
            case Verb.LEAN:
                self._touch(self._now_s, self._dice.uniform(1.0, 3.0), self._dice.uniform(100, 1_500))

    # ── what disturbs ────────────────────────────────────────────────────────────────────────────────────────────

    def _touch(self, at_s: float, lasting_s: float, force_g: float) -> None:
        self._touches.append(Touch(at_s, at_s + lasting_s, force_g, self._dice.uniform(0.005, 0.05)))

    def _disturb(self) -> None:
        dice = self._dice
        for phase in [phase for phase in self._phases if not phase.rolls]:
            for at_s in self._moments(phase, _LEAN_EVERY_S):
                lasting_s = dice.uniform(0.3, 1.5) if dice.random() < 0.8 else dice.uniform(2.0, 8.0)
                force_g = dice.uniform(100, 1_500) if dice.random() < 0.75 else -dice.uniform(100, 800)
                self._touch(at_s, lasting_s, force_g)
            self._shocks += [Shock(at_s, dice.uniform(300, 2_000)) for at_s in self._moments(phase, _BUMP_EVERY_S)]
            for at_s in self._moments(phase, _CHILD_EVERY_S):
                lasting_s, force_g = dice.uniform(3.0, 12.0), dice.uniform(2_000, 12_000)
                self._touches.append(Touch(at_s, at_s + lasting_s, force_g, dice.uniform(0.05, 0.3)))

    def _moments(self, phase: Phase, every_s: float) -> list[float]:
        moments = []
        at_s = phase.from_s + self._dice.expovariate(1 / every_s)
        while at_s < phase.until_s:
            moments.append(at_s)
            at_s += self._dice.expovariate(1 / every_s)
        return moments

    # ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _labelled(self) -> list[Action]:
        return [
            Action(
                began_s=doing.placed.began_s, at_s=doing.placed.at_s, mass_mg=round(doing.placed.mass_g * 1_000),
                kind=doing.kind, situation=self._situation(place), product=doing.thing.product, deed=doing.deed,
            )
            for place, doing in enumerate(self._doings)
        ]  # fmt: skip

    def _situation(self, place: int) -> Situation:
        doing = self._doings[place]
        began_s, at_s = doing.placed.began_s, doing.placed.at_s
        near = [other for other in self._doings[max(0, place - 2) : place + 3] if other is not doing]
        phase = next(phase for phase in self._phases if phase.from_s <= at_s <= phase.until_s)
        jolted = any(abs(shock.at_s - at_s) < 1.0 for shock in self._shocks)
        touched = any(touch.from_s - 0.8 < at_s and began_s < touch.until_s + 0.3 for touch in self._touches)
        facts = (
            (
                Situation.TWO_HANDS,
                doing.two_hands or any(o.two_hands and abs(o.placed.began_s - at_s) < 0.5 for o in near),
            ),
            (Situation.JOINTS, phase.rolls and jolted),
            (Situation.ROLLING, phase.rolls),
            (Situation.LEANING, touched),
            (Situation.HURRIED, any(abs(other.placed.at_s - at_s) < 2.0 for other in near)),
            (_OF_MANNER.get(doing.placed.manner, Situation.STANDING), doing.placed.manner in _OF_MANNER),
            (Situation.SLOPE, phase.slope_deg != 0),
        )
        return next((situation for situation, fits in facts if fits), Situation.STANDING)


def _legal_error_g(nominal_g: float) -> float:
    """Tolerable negative error of a pack: Directive 76/211/EEC, Annex I 2.4; 1.5 % above a kilogram is our guess."""
    table = (
        (50, 0.09 * nominal_g),
        (100, 4.5),
        (200, 0.045 * nominal_g),
        (300, 9.0),
        (500, 0.03 * nominal_g),
        (1_000, 15.0),
    )
    return next((error for bound, error in table if nominal_g <= bound), 0.015 * nominal_g)
