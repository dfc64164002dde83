"""Training: the donor's graph and a cosine head on random views of the photographs, by weights' moving average."""

import math
import sys
import time
from collections.abc import Iterator, Sequence

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.train import views
from models.train.donor import Donor
from models.train.front import Front
from models.train.network import Tail
from models.train.photographs import Photograph, Picture, products

Floats = NDArray[np.float32]


class Recipe(msgspec.Struct, frozen=True):
    """What a training run is made of; the defaults are what the shipped model was made by."""

    epochs: int = 12
    side: int = 192
    """Of the views trained on, in pixels."""
    last_side: int = 224
    """The same in the last epochs, in which int8 is imitated."""
    last_epochs: int = 2
    batch: int = 32
    rate: float = 4e-4
    """Of the later layers; earlier ones learn slower, the head faster."""
    front: int = 24
    """Layers of the donor that stay as they are: edges and colours are the same everywhere."""
    dimensions: int = 192
    """Of the embedding after the neck."""
    scale: float = 20.0
    """Of the cosine before the softmax."""
    margin: float = 0.0
    """By which the right cosine is made harder."""
    smoothing: float = 0.04
    """Of the label, over all products."""
    group_smoothing: float = 0.06
    """The same, over products of its group."""
    average: float = 0.997
    """Share of the moving average of weights that a step keeps."""
    network_side: int = 224
    """Of what the finished network sees, in pixels."""
    shots: int = 1
    """Views of each photograph that whitening and prototypes come from, beside itself."""
    shrinkage: float = 0.1
    """Of the scatter that is whitened."""
    sharpness: float = 20.0
    """Inverse temperature; chosen on `val` after training on `train`."""
    strange: float = 0.5
    strange_width: float = 0.05
    seed: int = 1


class Learner(nn.Module):
    """Front, tail, neck and cosine head."""

    def __init__(self, donor: Donor, recipe: Recipe, classes: int) -> None:
        super().__init__()
        self.front = Front(donor, recipe.front)
        self.tail = Tail(donor, recipe.front)
        self.neck = nn.Linear(1280, recipe.dimensions)
        self.head = nn.Parameter(torch.randn(classes, recipe.dimensions))

    def forward(self, activation: Tensor) -> Tensor:
        """Return the cosine with each product of what the front made of pictures."""
        embedded = functional.normalize(self.neck(self.tail(activation)), dim=1)
        return embedded @ functional.normalize(self.head, dim=1).T


def train(donor: Donor, photographs: Sequence[Photograph], recipe: Recipe) -> Learner:
    """Return the learner with averaged weights and the ranges of its activations. Progress goes to stderr."""
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = products(photographs)
    labels = np.array([list(names).index(each.product) for each in photographs])
    pictures = [each.picture() for each in photographs]
    learner = Learner(donor, recipe, len(names)).to(device)
    warm_start(learner, pictures, labels, recipe.side)
    average = Average(learner, recipe.average)
    targets = smoothed(list(names.values()), recipe).to(device)
    optimizer = torch.optim.AdamW(_rates(learner, recipe), weight_decay=0.02)
    dice = np.random.default_rng(recipe.seed)
    per_epoch = len(photographs) // recipe.batch
    total, step, began = per_epoch * recipe.epochs, 0, time.perf_counter()
    for epoch in range(recipe.epochs):
        last = epoch >= recipe.epochs - recipe.last_epochs
        side = recipe.last_side if last else recipe.side
        if last and not learner.tail.ranges:
            learner.tail.ranges = observe(learner, pictures, side)
        losses = []
        for batch, wanted in batches(pictures, labels, side, recipe.batch, dice):
            _set_rate(optimizer, step / total)
            loss = _loss(
                learner, learner.front(batch).to(device), targets[wanted.to(device)], wanted.to(device), recipe
            )
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
    pictures: Sequence[Picture], labels: NDArray[np.int64], side: int, size: int, dice: np.random.Generator
) -> Iterator[tuple[Picture, Tensor]]:
    """Yield an epoch of random views with labels; rare products come more often than their number, common ones less."""
    share = 1 / np.sqrt(np.bincount(labels))[labels]
    order = dice.choice(len(labels), len(labels) // size * size, p=share / share.sum())
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        made = np.stack([views.varied(pictures[each], pictures, side, dice) for each in chosen])
        yield made, torch.from_numpy(labels[chosen])


def smoothed(groups: Sequence[str], recipe: Recipe) -> Tensor:
    """Return the wanted distribution for each product, given each product's group."""
    alike = np.array([[one == other for other in groups] for one in groups], np.float64)
    np.fill_diagonal(alike, 0)
    mates = alike.sum(axis=1, keepdims=True)
    shared = recipe.group_smoothing * np.divide(alike, mates, out=np.zeros_like(alike), where=mates > 0)
    everywhere = recipe.smoothing / len(groups)
    rest = 1 - shared.sum(axis=1) - recipe.smoothing
    return torch.from_numpy((shared + everywhere + np.diag(rest)).astype(np.float32))


def warm_start(learner: Learner, pictures: Sequence[Picture], labels: NDArray[np.int64], side: int) -> None:
    """Begin with a neck that whitens the donor's features, and with the means of the products as head."""
    features = pooled(learner, [views.centre(picture, side) for picture in pictures], "features of the donor")
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    spread = np.cov((features - means[labels]).T)
    spread += 0.1 * np.trace(spread) / len(spread) * np.eye(len(spread))
    values, vectors = np.linalg.eigh(spread)
    whiten = vectors / np.sqrt(values)
    _, _, axes = np.linalg.svd((features - features.mean(axis=0)) @ whiten, full_matrices=False)
    neck = whiten @ axes[: learner.neck.out_features].T
    neck /= np.linalg.norm((features - features.mean(axis=0)) @ neck, axis=1).mean()
    device = learner.head.device
    learner.neck.weight.data = torch.from_numpy(neck.T.astype(np.float32)).contiguous().to(device)
    learner.neck.bias.data = torch.from_numpy((-features.mean(axis=0) @ neck).astype(np.float32)).to(device)
    head = (means - features.mean(axis=0)) @ neck
    head /= np.linalg.norm(head, axis=1, keepdims=True)
    learner.head.data = torch.from_numpy(head.astype(np.float32)).to(device)


def pooled(learner: Learner, pictures: Sequence[Picture], what: str) -> Floats:
    """Return the pooled features of pictures of one size."""
    found = []
    device = learner.head.device
    with torch.no_grad(), _half(device):
        for start in range(0, len(pictures), 64):
            activation = learner.front(np.stack(pictures[start : start + 64])).to(device)
            found.append(learner.tail(activation).float().cpu().numpy())
            print(f"\r{start} of {len(pictures)}: {what}  ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return np.concatenate(found)


def observe(learner: Learner, pictures: Sequence[Picture], side: int) -> dict[int, tuple[float, float]]:
    """Return the range of each activation on some photographs: the middle of what batches of 16 reach."""
    tail = learner.tail
    tail.seen, tail.ranges = {}, {}
    device = learner.head.device
    some = [views.centre(picture, side) for picture in pictures[:: max(1, len(pictures) // 256)]]
    with torch.no_grad(), _half(device):
        for start in range(0, len(some), 16):
            tail(learner.front(np.stack(some[start : start + 16])).to(device))
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


def _loss(learner: Learner, activation: Tensor, wanted: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    with _half(activation.device):
        cosines = learner(activation).float()
    if recipe.margin:
        cosines = cosines - recipe.margin * functional.one_hot(labels, cosines.shape[1])
    return functional.cross_entropy(recipe.scale * cosines, wanted)


def _half(device: torch.device) -> torch.autocast:
    """Sixteen-bit floats: three times as fast on processors that have them (avx512_bf16, amx), and on GPUs."""
    return torch.autocast(device.type, torch.bfloat16)


def _rates(learner: Learner, recipe: Recipe) -> list[dict[str, object]]:
    convolutions = [list(each.parameters()) for each in learner.tail.convolutions.values()]
    groups: list[dict[str, object]] = [
        {"params": each, "top": recipe.rate * (0.3 + 0.7 * place / len(convolutions))}
        for place, each in enumerate(convolutions)
    ]
    return [*groups, {"params": [*learner.neck.parameters(), learner.head], "top": 3 * recipe.rate}]


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


cv2.setNumThreads(1)
