"""Training: the donor's graph and a cosine head on random views of the photographs; the mean of several runs."""

import math
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.train import views
from models.train.donor import Donor, Range
from models.train.front import Front, Stored
from models.train.network import Tail, floats
from models.train.photographs import Photograph, Picture, products

Floats = NDArray[np.float32]
Item = TypeVar("Item")


class Run(msgspec.Struct, frozen=True):
    """What one run sees."""

    amid: float = 0.0
    """Share of views in which goods lie before another photograph. What lies around goods misleads about those that
    were not trained on, and helps with those that were."""
    recoloured: float = 0.0
    """Share of views in colours that nobody sells, each as a product of its own: twice as many products to tell apart
    leave more room for those that come later."""


class Recipe(msgspec.Struct, frozen=True):
    """What a training run is made of; the defaults are what the shipped model was made by."""

    runs: tuple[Run, ...] = (Run(amid=0.5, recoloured=0.3), Run(), Run(amid=0.5, recoloured=0.3), Run(amid=0.5))
    """From the donor on; their weights are averaged (M. Wortsman et al., "Model soups", ICML 2022)."""
    epochs: int = 8
    """Of each run."""
    batch: int = 32
    rate: float = 3e-4
    """Of the layers; the head learns faster."""
    front: int = 28
    """Layers of the donor that stay as they are: edges and colours are the same everywhere."""
    dimensions: int = 960
    """Of the whitened space: as many as 10,000 products of 8 bits each may have in 10 MB."""
    scale: float = 16.0
    """Of the cosine before the softmax."""
    smoothing: float = 0.04
    """Of the label, over all products."""
    group_smoothing: float = 0.04
    """The same, over products of its group."""
    average: float = 0.995
    """Share of the moving average of weights that a step keeps."""
    side: int = 224
    """Of what the network sees, in pixels."""
    sides: tuple[int, int] = (160, 192)
    """Of what it sees while it is trained, first and last: random views show goods larger than a whole photograph does,
    so that fewer pixels make them as large (H. Touvron et al., "Fixing the train-test resolution discrepancy")."""
    first_side: float = 0.6
    """Share of training with the first."""
    shots: int = 4
    """Views of each photograph that whitening and prototypes come from, beside itself: with 1, a hundredth of what is
    named right hangs on the dice."""
    shrinkage: float = 0.05
    """Of the scatter that is whitened."""
    between: float = 0.03
    """Share of the products' scatter about one another that counts as scatter within one."""
    sharpness: float = 80.0
    """Inverse temperature of a clear picture; this and the next three were chosen on `val`, never trained on."""
    strange: float = 0.16
    """Threshold and width of the density by which known goods are told from strange ones."""
    strange_width: float = 0.13
    dull_sharpness: float = 17.0
    """Inverse temperature of a picture that is like nothing known."""
    seed: int = 1


class Learner(nn.Module):
    """Front, tail, and a cosine head on the features themselves: a layer between would learn in the tail's stead.

    The head knows every product twice: as it is, and recoloured.
    """

    def __init__(self, donor: Donor, front: Front, recipe: Recipe, products: int) -> None:
        super().__init__()
        self.front = front
        self.tail = Tail(donor, recipe.front)
        self.centre = nn.Parameter(torch.zeros(1280))
        self.head = nn.Parameter(torch.zeros(2 * products, 1280))

    def forward(self, activation: Tensor) -> Tensor:
        """Return the cosine of what the front made of pictures with each product, then with each recoloured one."""
        embedded = functional.normalize(self.tail(activation).float() - self.centre, dim=1)
        return embedded @ functional.normalize(self.head, dim=1).T


class Shown(msgspec.Struct, frozen=True):
    """What is learnt: the photographs' pictures and labels, and what the front makes of each as it is."""

    front: Front
    front_ranges: dict[int, Range]
    pictures: list[Picture]
    labels: NDArray[np.int64]
    groups: list[str]
    """Of each product."""
    colours: NDArray[np.int64]
    """products x 3: which channels a recoloured product shows as red, green and blue"""
    stored: Stored
    """photographs x the front's activation"""


def prepare(donor: Donor, photographs: Sequence[Photograph], recipe: Recipe) -> Shown:
    """Return what is learnt from photographs. The front is calibrated on some of them."""
    names = products(photographs)
    places = {name: place for place, name in enumerate(names)}
    pictures = [each.picture() for each in photographs]
    squares = np.stack([views.centre(picture, recipe.side) for picture in pictures])
    labels = np.array([places[each.product] for each in photographs])
    whole = Tail(donor, 0)
    ranges = observe(whole, floats(squares[:: max(1, len(squares) // 64)]).split(16))
    ranges = {layer.output: ranges[layer.output] for layer in donor.layers[: recipe.front]}
    front = Front(donor, recipe.front, ranges)
    return Shown(
        front=front,
        front_ranges=ranges,
        pictures=pictures,
        labels=labels,
        groups=list(names.values()),
        colours=np.stack([views.other_colours(squares[labels == label]) for label in range(len(names))]),
        stored=np.stack([front(square) for square in squares]),
    )


def train(donor: Donor, shown: Shown, recipe: Recipe) -> Learner:
    """Return the learner with the mean weights of all runs and the ranges of its activations. Progress goes to stderr.

    Args:
        donor: of the first weights.
        shown: what to learn, from `prepare`.
        recipe: how.
    """
    began = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learners = [Learner(donor, shown.front, recipe, len(shown.groups)).to(device) for _ in recipe.runs]
    learner = learners[0]
    warm_start(learner, shown)
    for other in learners[1:]:
        other.load_state_dict(learner.state_dict())
    for number, each in enumerate(learners):
        teach(each, shown, recipe, number, began)
    with torch.no_grad():
        for together in zip(*(each.parameters() for each in learners), strict=True):
            together[0].copy_(torch.stack(together).mean(dim=0))
    learner.tail.ranges = observe(learner.tail, activations(learner, shown.stored))
    return learner.eval()


def teach(learner: Learner, shown: Shown, recipe: Recipe, number: int, began: float) -> None:
    """Train a learner that was begun by one of the runs, and leave it with the moving average of its weights."""
    device = learner.head.device
    average = Average(learner, recipe.average)
    targets = smoothed(shown.groups, recipe).to(device)
    if recipe.runs[number].recoloured:
        targets = torch.block_diag(targets, targets)
    optimizer = torch.optim.AdamW(_rates(learner, recipe), fused=True)
    steps = len(shown.labels) // recipe.batch
    losses: list[float] = []
    for step, (batch, wanted) in enumerate(ahead(batches(shown, recipe, number))):
        _set_rate(optimizer, step / (steps * recipe.epochs))
        loss = _loss(learner, shown.front.floats(batch).to(device), targets[wanted], recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.take(learner, step)
        losses.append(float(loss.detach()))
        if (step + 1) % steps == 0:
            done = number * recipe.epochs + (step + 1) // steps
            _progress(done, recipe, float(np.mean(losses[-steps:])), time.perf_counter() - began)
    average.give(learner)


def batches(shown: Shown, recipe: Recipe, number: int) -> Iterator[tuple[Stored, Tensor]]:
    """Yield what the front makes of new views, with labels; rare products come more often than their number."""
    run = recipe.runs[number]
    dice = np.random.default_rng([recipe.seed, number])
    share = 1 / np.sqrt(np.bincount(shown.labels))[shown.labels]
    steps = len(shown.labels) // recipe.batch
    for step in range(steps * recipe.epochs):
        if step % steps == 0:
            order = dice.choice(len(shown.labels), steps * recipe.batch, p=share / share.sum())
        chosen = order[step % steps * recipe.batch :][: recipe.batch]
        side = recipe.sides[step >= recipe.first_side * steps * recipe.epochs]
        seen = [views.varied(shown.pictures[each], shown.pictures, side, run.amid, dice) for each in chosen]
        labels = shown.labels[chosen]
        for place in np.flatnonzero(dice.random(len(seen)) < run.recoloured):
            seen[place] = np.ascontiguousarray(seen[place][:, :, shown.colours[labels[place]]])
            labels[place] += len(shown.groups)
        yield np.stack([shown.front(view) for view in seen]), torch.from_numpy(labels)


def ahead(items: Iterator[Item], most: int = 6) -> Iterator[Item]:
    """Yield the same items in the same order, made ahead by another thread. What goes wrong there is raised here."""
    ready: queue.Queue[Item | Exception | None] = queue.Queue(most)

    def make() -> None:
        try:
            for item in items:
                ready.put(item)
            ready.put(None)
        except Exception as error:  # noqa: BLE001 - raised again where the items are taken
            ready.put(error)

    threading.Thread(target=make, daemon=True).start()
    while (item := ready.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def smoothed(groups: Sequence[str], recipe: Recipe) -> Tensor:
    """Return the wanted distribution for each product, given each product's group."""
    alike = np.array([[one == other for other in groups] for one in groups], np.float64)
    np.fill_diagonal(alike, 0)
    mates = alike.sum(axis=1, keepdims=True)
    shared = recipe.group_smoothing * np.divide(alike, mates, out=np.zeros_like(alike), where=mates > 0)
    everywhere = recipe.smoothing / len(groups)
    rest = 1 - shared.sum(axis=1) - recipe.smoothing
    return torch.from_numpy((shared + everywhere + np.diag(rest)).astype(np.float32))


def warm_start(learner: Learner, shown: Shown) -> None:
    """Begin with the products' means as head, recoloured ones as the products they are made of."""
    features = pooled(learner, shown.stored)
    centre = features.mean(axis=0)
    means = np.stack([features[shown.labels == label].mean(axis=0) for label in range(len(shown.groups))]) - centre
    device = learner.head.device
    learner.centre.data = torch.from_numpy(centre).to(device)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    learner.head.data = torch.from_numpy(np.tile(means, (2, 1))).to(device)


def pooled(learner: Learner, stored: Stored) -> Floats:
    """Return the features of pictures, from what the front made of them."""
    with torch.no_grad(), _half(learner.head.device):
        return np.concatenate(
            [learner.tail(batch).float().cpu().numpy() for batch in activations(learner, stored, len(stored))]
        )


def activations(learner: Learner, stored: Stored, some: int = 512) -> Iterator[Tensor]:
    """Yield some of what is stored, evenly spread, in batches of 16."""
    chosen = stored[:: max(1, len(stored) // some)]
    for start in range(0, len(chosen), 16):
        yield learner.front.floats(chosen[start : start + 16]).to(learner.head.device)


def observe(tail: Tail, batches_of_activations: Iterator[Tensor] | Sequence[Tensor]) -> dict[int, Range]:
    """Return the range of each activation of a network: the middle of what batches reach."""
    tail.seen, tail.ranges = {}, {}
    for batch in batches_of_activations:
        with torch.no_grad(), _half(batch.device):
            tail(batch)
    ranges = {number: tuple(np.median(each, axis=0).tolist()) for number, each in tail.seen.items()}
    tail.seen = None
    return ranges


class Average:
    """The moving average of a learner's weights."""

    def __init__(self, learner: Learner, keep: float) -> None:
        self._keep = keep
        self._weights = [each.detach().clone() for each in learner.parameters()]

    def take(self, learner: Learner, step: int) -> None:
        keep = min(self._keep, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._weights, list(learner.parameters()), 1 - keep)

    def give(self, learner: Learner) -> None:
        with torch.no_grad():
            for average, each in zip(self._weights, learner.parameters(), strict=True):
                each.copy_(average)


def _loss(learner: Learner, activation: Tensor, wanted: Tensor, recipe: Recipe) -> Tensor:
    with _half(activation.device):
        cosines = learner(activation).float()[:, : wanted.shape[1]]
    return functional.cross_entropy(recipe.scale * cosines, wanted)


def _half(device: torch.device) -> torch.autocast:
    """Sixteen-bit floats: three times as fast on processors that have them (avx512_bf16, amx), and on GPUs."""
    return torch.autocast(device.type, torch.bfloat16)


def _rates(learner: Learner, recipe: Recipe) -> list[dict[str, object]]:
    convolutions = learner.tail.convolutions.values()
    kernels = [each.weight for each in convolutions if each.weight.requires_grad]
    return [
        {"params": kernels, "top": recipe.rate, "weight_decay": 0.02},
        {"params": [each.bias for each in convolutions], "top": recipe.rate, "weight_decay": 0.0},
        {"params": [learner.centre, learner.head], "top": 3 * recipe.rate, "weight_decay": 0.0},
    ]


def _set_rate(optimizer: torch.optim.Optimizer, done: float) -> None:
    """Up within the first twentieth, then down along a cosine."""
    share = min(1.0, done / 0.05) * 0.5 * (1 + math.cos(math.pi * done)) + 1e-3
    for group in optimizer.param_groups:
        group["lr"] = group["top"] * share


def _progress(done: int, recipe: Recipe, loss: float, seconds: float) -> None:
    every = len(recipe.runs) * recipe.epochs
    print(
        f"epoch {done} of {every} ({len(recipe.runs)} runs): loss {loss:.3f}, {seconds:.0f} s,"
        f" {seconds / done * (every - done):.0f} s left",
        file=sys.stderr,
        flush=True,
    )
