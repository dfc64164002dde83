import numpy as np
import pytest

from models.train import views
from models.train.photographs import Picture


@pytest.fixture
def picture() -> Picture:
    """A red ball on green, off the middle."""
    rows, columns = np.mgrid[:256, :340]
    ball = (rows - 120) ** 2 + (columns - 190) ** 2 < 70**2
    return np.where(ball[..., None], np.uint8([200, 30, 30]), np.uint8([40, 160, 60])).astype(np.uint8)


def test_the_same_seed_gives_the_same_views(picture: Picture) -> None:
    first, again, other = (
        [views.varied(picture, [picture], 96, 0.5, dice) for _ in range(20)]
        for dice in map(np.random.default_rng, (1, 1, 2))
        for _ in range(1)
    )
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def test_a_view_has_the_size_that_was_asked_for(picture: Picture) -> None:
    dice = np.random.default_rng(3)
    assert {views.varied(picture, [picture], 96, 0.5, dice).shape for _ in range(50)} == {(96, 96, 3)}


def test_most_views_still_show_the_goods(picture: Picture) -> None:
    dice = np.random.default_rng(4)
    red = [
        np.mean((view[..., 0] > 1.3 * view[..., 1]) & (view[..., 0] > 30))
        for view in (views.placed(picture, 96, dice) for _ in range(100))
    ]
    assert np.quantile(red, 0.05) > 0.1


def test_the_middle_stays_where_other_goods_lie_around_it(picture: Picture) -> None:
    dice = np.random.default_rng(7)
    view, other = np.full((128, 128, 3), 250, np.uint8), np.zeros_like(picture)
    kept = np.mean([views.surrounded(view, other, dice)[:, :, 0] > 125 for _ in range(100)], axis=0)
    assert kept[48:80, 48:80].min() > 0.8
    assert kept[:16, :16].max() < 0.2
    assert 0.3 < kept.mean() < 0.6


def test_motion_keeps_the_light_and_takes_the_edges(picture: Picture) -> None:
    moved = views.moved(picture, 9, 30)
    assert abs(float(moved.mean()) - float(picture.mean())) < 0.5
    assert (
        np.abs(np.diff(moved[120, :, 0].astype(int))).max() < np.abs(np.diff(picture[120, :, 0].astype(int))).max() / 2
    )


def test_noise_is_as_strong_as_asked() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    assert float(views.noisy(grey, 15, np.random.default_rng(5)).std()) == pytest.approx(15, rel=0.05)


def test_half_at_most_is_covered(picture: Picture) -> None:
    dice = np.random.default_rng(6)
    square = views.centre(picture, 128)
    hidden = [np.mean((views.covered(square, picture, dice) != square).any(axis=2)) for _ in range(50)]
    assert max(hidden) <= 0.5
    assert np.mean(hidden) > 0.05


def test_recoloured_goods_have_a_colour_that_they_never_had() -> None:
    for goods in ((200, 60, 40), (60, 180, 50), (220, 190, 40)):
        squares = np.full((3, 64, 64, 3), 90, np.uint8)
        squares[:, 16:48, 16:48] = goods
        order = views.other_colours(squares)
        assert sorted(order) == [0, 1, 2]
        red, green, blue = np.array(goods)[order]
        assert blue > max(red, green) or blue == green
