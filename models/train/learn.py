"""Training: the donor's graph and a cosine head on random views of the photographs, by weights' moving average."""

import math
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.train import views
from models.train.donor import Donor
from models.train.front import Front, Stored
from models.train.network import Tail
from models.train.photographs import Photograph, products

Floats = NDArray[np.float32]


class Recipe(msgspec.Struct, frozen=True):
    """What a training run is made of; the defaults are what the shipped model was made by."""

    epochs: int = 8
    int8_epochs: int = 0
    """The last ones, in which int8 is imitated."""
    views: int = 8
    """Of each photograph; the first is the photograph as it is. An epoch takes one of them."""
    batch: int = 32
    rate: float = 4e-4
    """Of the layers; the head learns faster."""
    front: int = 47
    """Layers of the donor that stay as they are: edges and colours are the same everywhere."""
    dimensions: int = 240
    """Of the whitened space."""
    scale: float = 16.0
    """Of the cosine before the softmax."""
    smoothing: float = 0.04
    """Of the label, over all products."""
    group_smoothing: float = 0.04
    """The same, over products of its group."""
    average: float = 0.99
    """Share of the moving average of weights that a step keeps."""
    side: int = 224
    """Of what the network sees, in pixels."""
    shots: int = 1
    """Views of each photograph that whitening and prototypes come from, beside itself."""
    shrinkage: float = 0.3
    """Of the scatter that is whitened."""
    sharpness: float = 15.0
    """Inverse temperature; chosen on `val` after training on `train`."""
    strange: float = 0.61
    """Threshold and width of density, by which `val` was told from products left out of training."""
    strange_width: float = 0.14
    seed: int = 1


class Learner(nn.Module):
    """Front, tail, and a cosine head on the features themselves: a layer between would learn in the tail's stead."""

    def __init__(self, donor: Donor, recipe: Recipe, classes: int) -> None:
        super().__init__()
        self.front = Front(donor, recipe.front, recipe.side)
        self.tail = Tail(donor, recipe.front)
        self.centre = nn.Parameter(torch.zeros(1280))
        self.head = nn.Parameter(torch.randn(classes, 1280))

    def forward(self, activation: Tensor) -> Tensor:
        """Return the cosine with each product of what the front made of pictures."""
        embedded = functional.normalize(self.tail(activation) - self.centre, dim=1)
        return embedded @ functional.normalize(self.head, dim=1).T


def prepare(donor: Donor, photographs: Sequence[Photograph], recipe: Recipe) -> Stored:
    """Return what the front makes of every photograph and of views of it: photographs x views x its activation."""
    front, dice = Front(donor, recipe.front, recipe.side), np.random.default_rng(recipe.seed)
    pictures = [each.picture() for each in photographs]
    stored = []
    for done, picture in enumerate(pictures):
        seen = [views.centre(picture, recipe.side)]
        seen += [views.varied(picture, pictures, recipe.side, dice) for _ in range(recipe.views - 1)]
        stored.append(np.stack([front(each) for each in seen]))
        if done % 20 == 0:
            print(f"\r{done} of {len(pictures)} photographs varied ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return np.stack(stored)


def train(donor: Donor, photographs: Sequence[Photograph], stored: Stored, recipe: Recipe) -> Learner:
    """Return the learner with averaged weights and the ranges of its activations. Progress goes to stderr.

    Args:
        donor: of the front and of the first weights.
        photographs: what to learn.
        stored: of the same photographs, from `prepare`.
        recipe: how.
    """
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = products(photographs)
    labels = np.array([list(names).index(each.product) for each in photographs])
    learner = Learner(donor, recipe, len(names)).to(device)
    warm_start(learner, stored[:, 0], labels)
    average = Average(learner, recipe.average)
    targets = smoothed(list(names.values()), recipe).to(device)
    optimizer = torch.optim.AdamW(_rates(learner, recipe), weight_decay=0.02)
    dice = np.random.default_rng(recipe.seed)
    total, step, began = len(photographs) // recipe.batch * recipe.epochs, 0, time.perf_counter()
    for epoch in range(recipe.epochs):
        if epoch == recipe.epochs - recipe.int8_epochs:
            learner.tail.ranges = observe(learner, stored[:, 0])
        losses = []
        for batch, wanted in batches(stored, labels, recipe.batch, dice):
            _set_rate(optimizer, step / total)
            loss = _loss(learner, learner.front.floats(batch).to(device), targets[wanted], recipe)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.take(learner, step)
            losses.append(float(loss.detach()))
            step += 1
        _progress(epoch, recipe, float(np.mean(losses)), time.perf_counter() - began)
    average.give(learner)
    return learner.eval()


def batches(
    stored: Stored, labels: NDArray[np.int64], size: int, dice: np.random.Generator
) -> Iterator[tuple[Stored, Tensor]]:
    """Yield an epoch of random views with labels; rare products come more often than their number, common ones less."""
    share = 1 / np.sqrt(np.bincount(labels))[labels]
    order = dice.choice(len(labels), len(labels) // size * size, p=share / share.sum())
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield stored[chosen, dice.integers(stored.shape[1], size=size)], torch.from_numpy(labels[chosen])


def smoothed(groups: Sequence[str], recipe: Recipe) -> Tensor:
    """Return the wanted distribution for each product, given each product's group."""
    alike = np.array([[one == other for other in groups] for one in groups], np.float64)
    np.fill_diagonal(alike, 0)
    mates = alike.sum(axis=1, keepdims=True)
    shared = recipe.group_smoothing * np.divide(alike, mates, out=np.zeros_like(alike), where=mates > 0)
    everywhere = recipe.smoothing / len(groups)
    rest = 1 - shared.sum(axis=1) - recipe.smoothing
    return torch.from_numpy((shared + everywhere + np.diag(rest)).astype(np.float32))


def warm_start(learner: Learner, stored: Stored, labels: NDArray[np.int64]) -> None:
    """Begin with the products' means as head."""
    features = pooled(learner, stored)
    centre = features.mean(axis=0)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)]) - centre
    device = learner.head.device
    learner.centre.data = torch.from_numpy(centre).to(device)
    learner.head.data = torch.from_numpy(means / np.linalg.norm(means, axis=1, keepdims=True)).to(device)


def pooled(learner: Learner, stored: Stored) -> Floats:
    """Return the features of pictures, from what the front made of them."""
    device = learner.head.device
    with torch.no_grad(), _half(device):
        found = [
            learner.tail(learner.front.floats(stored[start : start + 64]).to(device)).float().cpu().numpy()
            for start in range(0, len(stored), 64)
        ]
    return np.concatenate(found)


def observe(learner: Learner, stored: Stored) -> dict[int, tuple[float, float]]:
    """Return the range of each activation on some photographs: the middle of what batches of 16 reach."""
    tail, device = learner.tail, learner.head.device
    tail.seen, tail.ranges = {}, {}
    some = stored[:: max(1, len(stored) // 512)]
    with torch.no_grad(), _half(device):
        for start in range(0, len(some), 16):
            tail(learner.front.floats(some[start : start + 16]).to(device))
    ranges = {number: tuple(np.median(each, axis=0).tolist()) for number, each in tail.seen.items()}
    tail.seen = None
    return ranges


class Average:
    """The moving average of a learner's weights."""

    def __init__(self, learner: Learner, keep: float) -> None:
        self._keep = keep
        self._weights = {name: each.detach().clone() for name, each in learner.named_parameters()}

    def take(self, learner: Learner, step: int) -> None:
        keep = min(self._keep, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, each in learner.named_parameters():
                self._weights[name].lerp_(each, 1 - keep)

    def give(self, learner: Learner) -> None:
        with torch.no_grad():
            for name, each in learner.named_parameters():
                each.copy_(self._weights[name])


def _loss(learner: Learner, activation: Tensor, wanted: Tensor, recipe: Recipe) -> Tensor:
    with _half(activation.device):
        cosines = learner(activation).float()
    return functional.cross_entropy(recipe.scale * cosines, wanted)


def _half(device: torch.device) -> torch.autocast:
    """Sixteen-bit floats: three times as fast on processors that have them (avx512_bf16, amx), and on GPUs."""
    return torch.autocast(device.type, torch.bfloat16)


def _rates(learner: Learner, recipe: Recipe) -> list[dict[str, object]]:
    convolutions = [list(each.parameters()) for each in learner.tail.convolutions.values()]
    groups: list[dict[str, object]] = [{"params": each, "top": recipe.rate} for each in convolutions]
    return [*groups, {"params": [learner.centre, learner.head], "top": 3 * recipe.rate}]


def _set_rate(optimizer: torch.optim.Optimizer, done: float) -> None:
    """Up within the first twentieth, then down along a cosine."""
    share = min(1.0, done / 0.05) * 0.5 * (1 + math.cos(math.pi * done)) + 1e-3
    for group in optimizer.param_groups:
        group["lr"] = group["top"] * share


def _progress(epoch: int, recipe: Recipe, loss: float, seconds: float) -> None:
    left = seconds / (epoch + 1) * (recipe.epochs - epoch - 1)
    print(
        f"epoch {epoch + 1} of {recipe.epochs}: loss {loss:.3f}, {seconds:.0f} s, {left:.0f} s left",
        file=sys.stderr,
        flush=True,
    )
