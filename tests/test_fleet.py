"""Updates of projects that teams have changed: how many go through, and that nothing is lost unnoticed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from modelyard.fleet import merge, pins
from modelyard.fleet.template import Template
from packaging.version import Version

from benchmarks.fleet import Fleet, Remembering


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet").resolve(), answers=2)


@pytest.fixture(scope="module")
def template(fleet: Fleet) -> Template:
    place = fleet.place / "made"
    place.mkdir()
    return Remembering(fleet.repository, place, Path(sys.executable))


def test_projects_that_teams_have_changed_are_updated_and_nothing_is_lost_unnoticed(
    fleet: Fleet, template: Template
) -> None:
    outcomes = [fleet.update(seed, template) for seed in range(10)]
    assert [one.lost for one in outcomes] == [[]] * 10
    assert sum(not one.conflicts for one in outcomes) >= 9


@pytest.mark.parametrize("side", ["team", "template"])
def test_a_merge_that_loses_changes_would_be_noticed(
    fleet: Fleet, template: Template, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """The measurement itself: a merge that takes one side of every file."""
    real = merge._Store.merge

    def one_sided(store: merge._Store, ours: str, theirs: str) -> object:
        real(store, ours, theirs)
        kept = theirs if side == "team" else ours
        return store("rev-parse", f"{kept}^{{tree}}").strip(), {}, []

    monkeypatch.setattr(merge._Store, "merge", one_sided)
    assert fleet.update(20 if side == "team" else 21, template).lost


@pytest.mark.parametrize(("seed", "file"), [(28, ".github/"), (32, "requirements/")])
def test_a_pin_that_is_moved_back_would_be_noticed(
    fleet: Fleet, template: Template, monkeypatch: pytest.MonkeyPatch, seed: int, file: str
) -> None:
    def older(_: str, ours: str, theirs: str, is_exact: bool) -> str:
        return min(ours, theirs, key=Version)

    monkeypatch.setattr(pins, "_newer", older)
    lost = fleet.update(seed, template).lost
    assert any(f" of {file}" in one and ", which was " in one for one in lost)
