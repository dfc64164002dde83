"""What may have happened to the load, each story with its log-likelihood. Pure; core.judgement says which is believed.

A score is the logarithm of a Bayes factor: how much better a story tells the changes of the load that it covers than
"something unknown, each time", which scores nothing. It is the story's prior odds, the density of the masses under it
(normal, with the variances of scale and product added), and what the camera says of products and of the hand's way
(`Clues`), over the same changes by unknown things. All densities are per gram.

    story        what happened                                       found by
    Cancelled    leaning, or goods taken out again                   undone
    Arrived      scanned products were put in, one or several        arrivals
    Several      more pieces of a scanned product than were scanned  several
    Swapped      one line out and one scanned product in, at once    swaps
    CameBack     a line that had just left was put back              returns
    Left         lines were taken out                                departures
    TareIn       the shopper's own container, as announced           own_container
    TareOut      such a container was taken out                      container_leaves
    Recognised   a product that the camera recognised, unscanned     recognised
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations, islice
from math import exp, log, pi
from typing import NamedTuple

import msgspec

from cart_firmware.core.decision import Clues, HeldStep, Taken, Way
from cart_firmware.core.expectation import Expectation
from cart_protocol.basket import Line
from cart_protocol.ids import LineId, ProductId, ScanId
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money

# ── prior odds, as logarithms ────────────────────────────────────────────────────────────────────────────────────────
_UNKNOWN_NEW = log(0.02)
"""A change that was not asked about is something unknown: one in fifty ..."""
_UNKNOWN_ASKED = log(0.5)
"""... and one that was asked about in vain, one in two."""
_UNKNOWN_DENSITY = 1 / 8
"""Unknown things weigh anything from 5 g to 15 kg, each octave alike: per gram, this share of one over the mass."""
_IN_TWO_GOES = log(0.1)
"""One thing happened, and the load changed in two steps."""
_LIFTED_IN_TWO = log(0.1)
"""... which is rarer still of what is lifted out than of what is lowered."""
_SCANNED = log(0.9)
"""What was scanned is put in next."""
_SCANNED_BEFORE = log(0.5)
"""It was put in before it was scanned."""
_A_FURTHER_ONE = log(0.1)
"""Two scans, or two lines, move within one window: one in ten."""
_PASSED_OVER = log(0.4)
"""Something that was scanned before it is still in the hand."""
_LINE_LEAVES = log(0.4)
_LEAVES_INSTEAD = log(0.3)
"""... although something is in the hand that was scanned to be put in."""
_ANNOUNCED = log(300)
"""The shopper said so on the screen ..."""
_SHOWN_LEAVING = log(8)
"""... or held it before the camera on its way out."""
_EMPTIED = log(0.02)
_PUT_BACK = log(0.3)
_PUT_BACK_INSTEAD = log(0.03)
"""It comes back although something else was scanned to be put in ..."""
_PUT_BACK_UNSAID = log(0.005)
"""... or announced as the shopper's own."""
_UNDONE = log(0.3)
_SAID_UNDONE = log(20)
"""The weigher itself found that the step takes back another, to the milligram."""
_ONE_MORE = log(0.004)
_SWAPPED = log(0.04)
_CONTAINER = log(0.7)
_CONTAINER_LEAVES = log(0.2)
_RECOGNISED = log(0.3)
_RECOGNISED_INSTEAD = log(0.003)
"""... although something else was scanned to be put in: its label is on other goods, or it is in the other hand."""
_ONE_PIECE_MORE = log(0.5)
"""Loose goods that are sold by the piece come in ones and twos."""
_HAND_AGREES = log(3)
_HAND_DISAGREES = log(0.1)

# ── what a mass may be off ───────────────────────────────────────────────────────────────────────────────────────────
_READING = Variance(2_500**2)
"""Of the mass that a container was found to have when it came (weighing: 1.5 g calm, 4 g restless)."""
LEAST_LOOSE_MG = 12_000
LIGHTEST_CONTAINER_MG = 5_000

_SQUARE_MG_PER_SQUARE_G = 1_000_000

# ── bounds of the search: a step is decided within a few milliseconds ────────────────────────────────────────────────
_MOST_STEPS = 3
_MOST_OPEN = 5
_MOST_SCANS = 4
_MOST_PENDING = 8
_MOST_ALIKE = 24
_MOST_PIECES = 12
_MOST_CANDIDATES = 8
"""Products that pictures fit better than goods at large; more than three are never asked about."""
_PAIRS_UP_TO = 24
_TRIPLES_UP_TO = 9


class Question(msgspec.Struct, frozen=True):
    """A change of the load that waits for an explanation. `number` is None until it was asked about."""

    number: int | None
    mass: Mass
    variance: Variance
    fresh: bool = True
    """Recent enough to be loose goods that are scanned after they were put in."""
    held: HeldStep | None = None
    announced: bool = False
    """Too heavy for the own container that was announced before it, and so staff's to see."""
    clues: Clues = Clues()


class Offer(msgspec.Struct, frozen=True):
    """A scanned product that waits for its weight. Two of one `kind` (product and label) are the same to everybody."""

    scan: ScanId
    product: ProductId
    expected: Expectation
    marked: Money | None = None
    piece: bool = True
    """Sold by the piece: there may be more of them than were scanned."""

    @property
    def kind(self) -> str:
        return f"{self.product}|{self.marked}|{self.expected.mass}"


class Good(msgspec.Struct, frozen=True):
    """A line in the cart as a removal sees it: what it must weigh by now, and whether its leaving was announced."""

    line: Line
    expected: Expectation
    announced: bool = False
    shown: bool = False

    @property
    def kind(self) -> str:
        return f"{self.line.product}|{self.line.price.total}"


class Held(msgspec.Struct, frozen=True):
    """An own container that is in the cart."""

    number: int
    mass: Mass


class Cancelled(msgspec.Struct, frozen=True):
    """The steps undo each other: a hand on the basket, or goods taken out again."""


class Arrived(msgspec.Struct, frozen=True):
    """These scans were put in, of so many `kinds`; `masses` add up to the step."""

    scans: tuple[ScanId, ...]
    masses: tuple[Mass, ...]
    kinds: int = 1


class Several(msgspec.Struct, frozen=True):
    """A scanned product and `further` more of it that were not scanned; `masses` of all of them."""

    scan: ScanId
    further: int
    masses: tuple[Mass, ...]


class Swapped(msgspec.Struct, frozen=True):
    """`line` was taken out and what was scanned put in, between the same two quiet moments."""

    line: LineId
    scan: ScanId
    arrived: Mass


class CameBack(msgspec.Struct, frozen=True):
    """A line that had just left was put back."""

    taken: Taken


class Left(msgspec.Struct, frozen=True):
    """These lines were taken out."""

    lines: tuple[LineId, ...]
    masses: tuple[Mass, ...]


class TareIn(msgspec.Struct, frozen=True):
    """The shopper's own container, announced before."""

    mass: Mass


class TareOut(msgspec.Struct, frozen=True):
    number: int


class Recognised(msgspec.Struct, frozen=True):
    """A product that the camera recognised and nobody scanned; `masses` are those of its pieces."""

    product: ProductId
    masses: tuple[Mass, ...]


Story = Cancelled | Arrived | Several | Swapped | CameBack | Left | TareIn | TareOut | Recognised


class Hypothesis(msgspec.Struct, frozen=True):
    """`score` is a log Bayes factor (see the module), `deviation` the misfit of the masses in squared sigmas.

    Stories of one `key` come to the same for shop and shopper: it does not matter which of two milks left.
    """

    score: float
    deviation: float
    questions: tuple[Question, ...]
    story: Story
    key: str


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """All that stories are made of."""

    offers: Sequence[Offer] = ()
    goods: Sequence[Good] = ()
    taken: Sequence[tuple[Taken, Expectation]] = ()
    containers: Sequence[Held] = ()
    heaviest_container: Mass = Mass(0)
    """What an announced container may weigh; 0 where none was announced."""
    candidates: Mapping[ProductId, Expectation] = {}
    """What products weigh that the camera names of any question."""


def of_step(scene: Scene, newest: Question, others: Sequence[Question]) -> list[Hypothesis]:
    """Return every story that covers `newest`, alone or with a few of the other open questions."""
    lately = others[-_MOST_OPEN:]
    told = {_name(other): _told_anyhow(scene, other) for other in lately}
    found = list[Hypothesis]()
    for steps in _with(newest, lately):
        taken = sum(told[_name(other)] for other in steps[1:])
        found += [
            msgspec.structs.replace(each, score=each.score - taken)
            for each in chain(undone(steps), _alone(scene, steps))
        ]
    return found


def _told_anyhow(scene: Scene, other: Question) -> float:
    """Return how much better than as something unknown another question is told by itself.

    A story that covers it too must do better than that: what it was would otherwise still be open to be told.
    """
    scores = [each.score for each in best_of_each(_alone(scene, (other,))).values()]
    highest = max(0.0, *scores) if scores else 0.0
    return highest + log(exp(-highest) + sum(exp(score - highest) for score in scores))


def of_scan(scene: Scene, scan: ScanId, questions: Sequence[Question]) -> list[Hypothesis]:
    """Return every story in which what was just scanned had been put in before."""
    latest = questions[-_MOST_OPEN:]
    sets = chain.from_iterable(combinations(latest, size) for size in range(1, _MOST_STEPS + 1))
    return [
        found
        for steps in sets
        if _total(steps) > 0
        for chosen in _choices(scene.offers)
        if any(offer.scan == scan for offer in chosen)
        for found in _arrival(scene, steps, chosen, _SCANNED_BEFORE)
    ]


def of_nothing(newest: Question, others: Sequence[Question]) -> list[Hypothesis]:
    """Return the stories that need no knowledge of goods: all that a closed basket believes."""
    return [found for steps in _with(newest, others[-_MOST_OPEN:]) for found in undone(steps)]


def _alone(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    if _total(steps) > 0:
        yield from arrivals(scene, steps)
        yield from several(scene, steps)
        yield from returns(scene, steps)
        yield from own_container(scene, steps)
        yield from recognised(scene, steps)
    else:
        yield from departures(scene, steps)
        yield from container_leaves(scene, steps)
    yield from swaps(scene, steps)


# ── the stories ──────────────────────────────────────────────────────────────────────────────────────────────────────


def undone(steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """Two steps or three that come to nothing."""
    if len(steps) == 1:
        return
    said = any(_takes_back(one, other) for one in steps for other in steps)
    prior = _UNDONE + (_SAID_UNDONE if said else 0.0) - _IN_TWO_GOES
    yield _told(steps, Cancelled(), "undone", prior, _Off(_total(steps), _noise(steps)))


def arrivals(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """One scan, a few, all of one kind, or all that wait: what was put down in one go is a sum."""
    for chosen in _choices(scene.offers):
        yield from _arrival(scene, steps, chosen, _SCANNED + _passed_over(scene, chosen))


def several(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """Two to twelve pieces where one was scanned."""
    clues = clues_of(steps)
    for offer in _one_of_each(scene.offers):
        mass = offer.expected.mass
        if mass is None or not offer.piece:
            continue
        pieces = round(_total(steps) / mass)
        if not 2 <= pieces <= _MOST_PIECES:
            continue
        rest = Mass(_total(steps) - pieces * mass)
        noise = Variance(_noise(steps) + pieces * pieces * offer.expected.variance)
        masses = (Mass(mass + rest), *[mass] * (pieces - 1))
        story = Several(offer.scan, pieces - 1, masses)
        prior = _ONE_MORE - log(pieces) + _hand(clues, Way.IN) + clues.of(offer.product)
        yield _told(steps, story, f"several {offer.kind} {pieces}", prior, _Off(rest, noise))


def returns(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    clues = clues_of(steps)
    usual = _PUT_BACK_INSTEAD if scene.offers else _PUT_BACK
    if scene.heaviest_container:
        usual = _PUT_BACK_UNSAID
    for each, expected in scene.taken:
        rest = Mass(_total(steps) - (expected.mass or 0))
        noise = Variance(_noise(steps) + expected.variance)
        prior = usual - log(len(scene.taken)) + _hand(clues, Way.IN) + clues.of(each.line.product)
        key = f"back {each.line.product}|{each.line.price.total}"
        yield _told(steps, CameBack(each), key, prior, _Off(rest, noise))


def own_container(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """Any mass up to the limit; the fresh step only: what was asked about is not made a container afterwards."""
    total = _total(steps)
    if not all(step.held for step in steps) or not LIGHTEST_CONTAINER_MG <= total <= scene.heaviest_container:
        return
    prior = _CONTAINER + log(_UNKNOWN_DENSITY) - log(total / 1_000) + clues_of(steps).of_others
    yield _told_by(steps, TareIn(total), "container", prior)


def recognised(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """One product that the camera names: any mass of it by the kilogram, or so many pieces as the mass makes.

    Under the label of other goods it has the mass of those: the label was printed for it, or it was chosen so. Only a
    label whose goods are known by sight is doubted: of others nobody knows whether they look like this.
    """
    clues = clues_of(steps)
    if scene.offers and not any(clues.knows(offer.product) for offer in scene.offers):
        return
    usual = _RECOGNISED_INSTEAD if scene.offers else _RECOGNISED
    total = _total(steps)
    sold = ((product, scene.candidates[product]) for product in clues.named if product in scene.candidates)
    for product, expected in islice(sold, _MOST_CANDIDATES):
        prior = usual + clues.of(product) + _hand(clues, Way.IN)
        if expected.mass is None:
            if total < LEAST_LOOSE_MG:
                continue
            story, key = Recognised(product, (total,)), f"recognised {product}"
            yield _told_by(steps, story, key, prior + log(_UNKNOWN_DENSITY) - log(total / 1_000))
            for offer in _one_of_each(scene.offers):
                if offer.expected.mass is not None:
                    noise = Variance(_noise(steps) + offer.expected.variance)
                    yield _told(steps, story, key, prior, _Off(Mass(total - offer.expected.mass), noise))
            continue
        pieces = round(total / expected.mass)
        if 1 <= pieces <= _MOST_PIECES:
            rest = Mass(total - pieces * expected.mass)
            noise = Variance(_noise(steps) + pieces * expected.variance)
            story = Recognised(product, (Mass(expected.mass + rest), *[expected.mass] * (pieces - 1)))
            key = f"recognised {product} {pieces}"
            yield _told(steps, story, key, prior + _ONE_PIECE_MORE * (pieces - 1), _Off(rest, noise))


def departures(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    """One line, or a sum of two or three, or all of them. Of those that are alike the newest goes."""
    clues = clues_of(steps)
    announced = tuple(good for good in reversed(scene.goods) if good.announced)
    instead = _LEAVES_INSTEAD if scene.offers else 0.0
    for chosen, usual in _removals(scene.goods, announced):
        rest = Mass(-_total(steps) - sum(good.expected.mass or 0 for good in chosen))
        noise = Variance(_noise(steps) + sum(good.expected.variance for good in chosen))
        said = sum(
            (_ANNOUNCED if good.announced else 0.0)
            + (_SHOWN_LEAVING if good.shown else 0.0)
            + clues.of(good.line.product)
            for good in chosen
        )
        masses = _shares_of(chosen, Mass(-_total(steps)))
        story = Left(tuple(good.line.line for good in chosen), masses)
        key = "left " + " + ".join(sorted(good.kind for good in chosen))
        prior = usual + said + instead + _hand(clues, Way.OUT) + _LIFTED_IN_TWO * (len(steps) - 1)
        yield _told(steps, story, key, prior, _Off(rest, noise))


def container_leaves(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    clues = clues_of(steps)
    for container in scene.containers:
        noise = Variance(_noise(steps) + _READING)
        off = _Off(Mass(-_total(steps) - container.mass), noise)
        key = f"container {container.number} left"
        prior = _CONTAINER_LEAVES + _hand(clues, Way.OUT) + clues.of_others
        yield _told(steps, TareOut(container.number), key, prior, off)


def swaps(scene: Scene, steps: tuple[Question, ...]) -> Iterator[Hypothesis]:
    clues = clues_of(steps)
    for offer in _one_of_each(scene.offers):
        mass = offer.expected.mass
        if mass is None:
            continue
        for good in scene.goods:
            expected = Mass(mass - (good.expected.mass or 0))
            noise = Variance(_noise(steps) + offer.expected.variance + good.expected.variance)
            off = _Off(Mass(_total(steps) - expected), noise)
            prior = _SWAPPED - log(len(scene.goods)) + (_ANNOUNCED if good.announced else 0.0) + _hand(clues, Way.BOTH)
            prior += clues.of(offer.product)
            story = Swapped(good.line.line, offer.scan, Mass(_total(steps) + good.line.mass))
            if story.arrived > 0:
                yield _told(steps, story, f"swap {good.kind} for {offer.kind}", prior, off)


# ── one arrival ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _arrival(
    scene: Scene, steps: tuple[Question, ...], offers: tuple[Offer, ...], scanned: float
) -> Iterator[Hypothesis]:
    clues = clues_of(steps)
    loose = [offer for offer in offers if offer.expected.mass is None]
    rest = Mass(_total(steps) - sum(offer.expected.mass or 0 for offer in offers))
    prior = scanned + _hand(clues, Way.IN) + sum(clues.of(offer.product) for offer in offers)
    kinds = len({offer.kind for offer in offers})
    prior += _A_FURTHER_ONE * (kinds - 1) + _how_many(scene, offers)
    story = Arrived(tuple(offer.scan for offer in offers), _shares(offers, rest), kinds)
    key = "in " + " + ".join(sorted(offer.kind for offer in offers))
    if not loose:
        noise = Variance(_noise(steps) + _noise_of(offers))
        yield _told(steps, story, key, prior, _Off(rest, noise))
    elif len(loose) == 1 and rest >= LEAST_LOOSE_MG and all(step.fresh for step in steps):
        yield _told_by(steps, story, key, prior + log(_UNKNOWN_DENSITY) - log(rest / 1_000))


def _passed_over(scene: Scene, chosen: Sequence[Offer]) -> float:
    """Of what was scanned one after the other, the first comes first."""
    kinds = {offer.kind for offer in chosen}
    newest = max(place for place, offer in enumerate(scene.offers) if offer.scan == chosen[-1].scan)
    return _PASSED_OVER * len({offer.kind for offer in scene.offers[:newest]} - kinds)


def _how_many(scene: Scene, offers: Sequence[Offer]) -> float:
    """Of several of one kind that wait, any number is put down at once as likely as any other."""
    kinds = {offer.kind for offer in offers}
    return -sum(log(len(alike)) for alike in _alike(scene.offers) if alike[0].kind in kinds)


def _noise_of(offers: Sequence[Offer]) -> Variance:
    """Return what the sum of these products may be off. Of packs of one kind, half of it is the same in each."""
    alike = dict[str, int]()
    for offer in offers:
        alike[offer.kind] = alike.get(offer.kind, 0) + 1
    variance = {offer.kind: offer.expected.variance for offer in offers}
    return Variance(sum(variance[kind] * count * (count + 1) // 2 for kind, count in alike.items()))


def _shares(offers: Sequence[Offer], rest: Mass) -> tuple[Mass, ...]:
    """Give each product what it should weigh, and what is over to the one that knows its mass least."""
    weights = [(offer.expected.mass is None, offer.expected.variance) for offer in offers]
    vaguest = weights.index(max(weights))
    return tuple(
        Mass((offer.expected.mass or 0) + (rest if index == vaguest else 0)) for index, offer in enumerate(offers)
    )


def _shares_of(goods: Sequence[Good], left: Mass) -> tuple[Mass, ...]:
    """Each line takes along what it brought, and the first what the scale says otherwise."""
    masses = [good.line.mass for good in goods]
    return (Mass(masses[0] + left - sum(masses)), *masses[1:])


# ── which ones ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _with(newest: Question, others: Sequence[Question]) -> list[tuple[Question, ...]]:
    """Return `newest` alone and with each few of the others."""
    return [(newest, *few) for size in range(_MOST_STEPS) for few in combinations(others, size)]


def _choices(offers: Sequence[Offer]) -> list[tuple[Offer, ...]]:
    """Return the sets of scans that may arrive together: few of any kind, any number of one kind, or all."""
    latest = offers[-_MOST_PENDING:]
    few = list(chain.from_iterable(combinations(latest, size) for size in range(1, _MOST_SCANS + 1)))
    many = [
        tuple(alike[:count])
        for alike in _alike(offers)
        for count in range(_MOST_SCANS + 1, min(len(alike), _MOST_ALIKE) + 1)
    ]
    everything = [tuple(offers)] if _MOST_SCANS < len(offers) <= _MOST_ALIKE and len(_alike(offers)) > 1 else []
    return [*few, *many, *everything]


def _alike(offers: Sequence[Offer]) -> list[list[Offer]]:
    kinds = dict[str, list[Offer]]()
    for offer in offers:
        kinds.setdefault(offer.kind, []).append(offer)
    return list(kinds.values())


def _one_of_each(offers: Sequence[Offer]) -> list[Offer]:
    return [alike[0] for alike in _alike(offers)]


def _removals(goods: Sequence[Good], announced: tuple[Good, ...]) -> Iterator[tuple[tuple[Good, ...], float]]:
    """Yield sets of lines with their prior, the newest first. Several only out of a basket that can be told apart."""
    if not goods:
        return
    newest_first = list(reversed(goods))
    one = _LINE_LEAVES - log(len(goods))
    for size, most in ((1, len(goods)), (2, _PAIRS_UP_TO), (3, _TRIPLES_UP_TO)):
        if len(goods) <= most:
            prior = one + (_A_FURTHER_ONE - log(len(goods))) * (size - 1)
            yield from ((chosen, prior) for chosen in combinations(newest_first, size))
    if len(announced) > 1:
        yield announced, one
    if len(goods) > 3:
        yield tuple(newest_first), _EMPTIED


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────────


class _Off(NamedTuple):
    """How far the masses are from what the story says, and the variance that explains it."""

    rest: Mass
    noise: Variance


def _told(steps: tuple[Question, ...], story: Story, key: str, prior: float, off: _Off) -> Hypothesis:
    """Return a story that says what the masses of `steps` should come to."""
    deviation = off.rest * off.rest / max(1, off.noise)
    likelihood = prior - (deviation + log(2 * pi * max(1, off.noise) / _SQUARE_MG_PER_SQUARE_G)) / 2
    return msgspec.structs.replace(_told_by(steps, story, key, likelihood), deviation=deviation)


def _told_by(steps: tuple[Question, ...], story: Story, key: str, likelihood: float) -> Hypothesis:
    """Weigh a log-likelihood per gram against so many unknown things."""
    unknown = _unknown_mass(steps) + sum(_unknown(step) for step in steps)
    score = likelihood - unknown + _IN_TWO_GOES * (len(steps) - 1)
    covered = ",".join(_name(step) for step in steps)
    return Hypothesis(score, 0.0, steps, story, f"{key} @{covered}")


def _unknown(step: Question) -> float:
    if step.number is not None:
        return _UNKNOWN_ASKED
    return _CONTAINER if step.announced else _UNKNOWN_NEW


def _unknown_mass(steps: Sequence[Question]) -> float:
    """Return the log-density of the newest step's mass as something unknown; how one thing is split is anybody's."""
    return log(_UNKNOWN_DENSITY) - log(max(1.0, abs(steps[0].mass) / 1_000))


def clues_of(steps: Sequence[Question]) -> Clues:
    """Return what other eyes say of the latest of some changes: what was asked about came before what was not."""
    latest = max(steps, key=lambda step: (step.held is not None, step.held.at_us if step.held else step.number or 0))
    return latest.clues


def _hand(clues: Clues, way: Way) -> float:
    if clues.hand is Way.UNSEEN:
        return 0.0
    return _HAND_AGREES if clues.hand is way else _HAND_DISAGREES


def _takes_back(one: Question, other: Question) -> bool:
    return bool(one.held and other.held and one.held.undoes_us == other.held.at_us)


def _name(step: Question) -> str:
    return f"{step.number}" if step.number is not None else f"h{step.held.at_us if step.held else 0}"


def _total(steps: Sequence[Question]) -> Mass:
    return Mass(sum(step.mass for step in steps))


def _noise(steps: Sequence[Question]) -> Variance:
    return Variance(sum(step.variance for step in steps))


def best_of_each(hypotheses: Iterable[Hypothesis]) -> dict[str, Hypothesis]:
    """Return the best story of each key; the earliest named of equals."""
    best = dict[str, Hypothesis]()
    for each in hypotheses:
        known = best.get(each.key)
        if known is None or each.score > known.score:
            best[each.key] = each
    return best
