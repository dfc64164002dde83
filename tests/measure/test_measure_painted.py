"""The measure of painted goods by the shipped network: what is unlike is told apart, what is alike is confused."""

import json

import pytest

from measure import painted


def test_painted_goods_are_learned_from_few_shots(capsys: pytest.CaptureFixture[str]) -> None:
    assert painted.main(["--asked", "4", "--draws", "2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    metrics = figures["metrics"]
    assert figures["passed"] + figures["failed"] == metrics["asked"] == 4 * metrics["goods"]
    by_shots = [metrics["enrolled"][shots]["top1"] for shots in ("1", "3", "5")]
    assert by_shots[0] < by_shots[1] <= by_shots[2], "more shots name more"
    assert by_shots[-1] > 60
    assert metrics["enrolled"]["5"]["top3"] > 85
    assert metrics["enrolled"]["5"]["potato top1"] < 90, "potatoes are alike on purpose"
    assert metrics["verified"]["any"] > metrics["verified"]["group"]
    assert 0.7 < metrics["strangers"]["auroc"] < 1
