"""Pins that both sides of an update have moved: the newer one, or a conflict."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.fleet.pins import settle
from packaging.version import InvalidVersion, Version

WORKFLOW, HOOKS, LOCK = ".github/workflows/check.yml", ".pre-commit-config.yaml", "requirements/train.txt"  # fmt: skip


def digest(version: str, length: int = 40) -> str:
    return (hashlib.sha256(version.encode()).hexdigest() * 2)[:length]


def action(version: str, name: str = "actions/checkout", rest: str = "") -> str:
    return f"      - uses: {name}@{digest(version)} # {version}{rest}\n"


def package(version: str, name: str = "numpy", rest: str = "") -> str:
    hashes = [f" \\\n    --hash=sha256:{digest(f'{version} {n}', 64)}" for n in range(len(version))]
    return f"{name}=={version}{rest}{''.join(hashes)}\n"


def revision(version: str, name: str = "https://github.com/a/b", rest: str = "") -> str:
    return f"  - repo: {name}\n    rev: {version}{rest}\n"


def image(version: str, kind: str = "-slim") -> str:
    return f"FROM python:{version}{kind}@sha256:{digest(version, 64)} AS build\n"


def both(path: str, base: str, ours: str, theirs: str) -> tuple[list[str], list[str]]:
    """The three texts between lines that nobody changed, and what is said."""
    texts, found = settle(path, *(f"first\n{one}last\n" for one in (base, ours, theirs)))
    return [one.removeprefix("first\n").removesuffix("last\n") for one in texts], [*map(str, found)]


@pytest.mark.parametrize(
    ("path", "base", "ours", "theirs"),
    [
        (WORKFLOW, action("v7.0.1"), action("v7.0.9"), action("v8.0.0")),
        (WORKFLOW, action("v9.9.0"), action("v9.10.0"), action("v9.10.1")),
        (".github/actions/a/action.yml", *(f"    - uses: a/b/c@{v}\n" for v in ("v1", "v2", "v3"))),
        (HOOKS, revision("v1.2.3"), revision("v1.3.0"), revision("v1.3.1")),
        (HOOKS, *(f"  - repo: x\n    rev: {digest(v)}  # frozen: {v}\n" for v in ("v1", "v2", "v3"))),
        (LOCK, package("2.0"), package("2.0.1"), package("2.2.10")),
        (LOCK, *(package(v, rest=" ; python_version < '3.12'") for v in ("1.0b1", "1.1", "1.2"))),
        ("requirements/m.txt", *(f"m=={v} --hash=sha256:{digest(v, 64)}" for v in ("1.0", "1.1", "1.2"))),
        ("requirements/dev.in", *(f"ruff=={v} # why\n" for v in ("0.9.1", "0.10.0", "0.11.0"))),
        ("requirements/train.dockerfile", image("3.12.1"), image("3.12.2"), image("3.12.10")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_team", [False, True])
def test_the_newer_pin_is_taken_whole_and_told(
    path: str, base: str, ours: str, theirs: str, is_team: bool
) -> None:
    sides = (theirs, ours) if is_team else (ours, theirs)
    texts, [said] = both(path, base, *sides)
    assert texts == [theirs] * 3
    assert ("the team's" if is_team else "the template's") + " " in said.partition(",")[0]


@pytest.mark.parametrize(
    ("path", "base", "ours", "theirs"),
    [
        pytest.param(WORKFLOW, action("v7.0.1"), action("v7.1.0").replace(digest("v7.1.0"), "b" * 40), action("v7.1.0"), id="same version, other commit"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v7.0.0"), action("v7.1.0"), id="team moved back"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v7.1.0"), action("v7.0.0"), id="template moved back"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v7"), action("v7.1.0"), id="whichever 7"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v8"), action("v8.1.0"), id="whichever 8"),
        pytest.param(WORKFLOW, action("v7.0.1"), "      - uses: actions/checkout@v9.0.0\n", action("v8.0.0"), id="no commit any more"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v8.0.0", rest=" ours"), action("v8.1.0"), id="comment"),
        pytest.param(WORKFLOW, action("v7.0.1"), action("v8.0.0", "acme/checkout"), action("v8.1.0"), id="other action"),
        pytest.param(WORKFLOW, *(f"      - uses: a/b@{digest(v)}\n" for v in "123"), id="no version"),
        pytest.param(HOOKS, *(f"  - repo: x\n    rev: {v}\n" for v in ("1a23450", "1a23451", "1a23452")), id="short commit"),
        pytest.param(HOOKS, revision("v1.0"), revision("v1.1", "https://github.com/acme/b"), revision("v1.2"), id="other repository"),
        pytest.param(HOOKS, revision("v1.0"), revision("v1.1-beta-x"), revision("v1.2"), id="no known version"),
        pytest.param(LOCK, package("1.0"), package("1.1", rest=" ; sys_platform == 'win32'"), package("1.2"), id="marker"),
        pytest.param(LOCK, package("1.0"), "numpy==1.3\n", package("1.2"), id="no hashes any more"),
        pytest.param(LOCK, package("1.0+cpu"), package("1.1+cpu"), package("1.2+cu126"), id="local version"),
        pytest.param(LOCK, package("1.0"), package("1.1", "numpy[x]"), package("1.2"), id="extra"),
        pytest.param(LOCK, package("1.0"), "", package("1.2"), id="removed"),
        pytest.param("requirements/a.dockerfile", *(f"FROM a@sha256:{digest(v, 64)}\n" for v in "123"), id="digest alone"),
        pytest.param("requirements/a.dockerfile", image("3.12.1"), image("3.12.2", "-alpine"), image("3.12.3"), id="other image"),
        pytest.param("src/p/train.py", *(f"retries=={v}\n" for v in "123"), id="no file of pins"),
    ],
)  # fmt: skip
def test_what_is_no_move_forward_of_the_same_pin_stays_a_conflict(
    path: str, base: str, ours: str, theirs: str
) -> None:
    assert both(path, base, ours, theirs) == ([base, ours, theirs], [])
    assert both(path, base, theirs, ours) == ([base, theirs, ours], [])


def test_a_pin_is_moved_wherever_a_file_has_it_unless_it_has_several_versions() -> None:
    old, moved, new = action("v7.0.1"), action("v7.0.2"), action("v8.0.0")
    base, theirs = f"a:\n{old}b:\n{old}", f"a:\n{new}b:\n{new}"
    texts, [said] = both(WORKFLOW, base, f"a:\n{moved}own:\n{moved}b:\n{moved}", theirs)
    assert texts == [theirs, f"a:\n{new}own:\n{new}b:\n{new}", theirs]
    assert (
        said == "pin of actions/checkout: the template's v8.0.0 taken, newer than the team's v7.0.2"
    )
    assert both(WORKFLOW, base, f"a:\n{moved}b:\n{old}", theirs)[1] == []


def test_packages_of_which_each_side_moved_one_are_no_conflict_although_they_touch() -> None:
    base, ours, theirs = (
        package(a, "a") + package(b, "b")
        for a, b in (("1.0", "1.0"), ("2.0", "1.0"), ("1.0", "2.0"))
    )
    texts, said = both(LOCK, base, ours + package("1.0", "c"), theirs)
    merged = package("2.0", "a") + package("2.0", "b")
    assert (texts, said) == ([merged, merged + package("1.0", "c"), merged], [])


VERSIONS = st.sampled_from(["v4", "v4.1.0", "v4.2.0", "v5.0.0", "v10.0.0", "v4.2.0rc1", "v5.x"])
PIN = st.tuples(*[st.tuples(VERSIONS, st.sampled_from(["", "", "", " ours"]))] * 3)


@given(st.lists(PIN, min_size=1, max_size=6), st.sampled_from([action, revision]))
def test_no_pin_becomes_older_and_lines_that_differ_elsewhere_are_not_touched(
    pins: list[tuple[tuple[str, str], ...]], write: object
) -> None:
    sides = [
        [write(version, f"acme/a{n}", rest) for n, (version, rest) in enumerate(side)]  # type: ignore[operator]
        for side in zip(*pins, strict=True)
    ]
    path = WORKFLOW if write is action else HOOKS
    texts, _ = settle(path, *("".join(side) for side in sides))
    at = 0
    for number, pin in enumerate(pins):
        lines = [side[number] for side in sides]
        size = 1 if write is action else 2
        new = ["".join(one.splitlines(keepends=True)[at : at + size]) for one in texts]
        at += size
        if new != lines:
            assert new[0] == new[1] == new[2] and new[0] in lines[1:]
            assert len({rest for _, rest in pin}) == 1
            taken = pin[lines.index(new[0])][0]
            if len(set(lines)) == 3:
                assert all(Version(taken) >= Version(version) for version, _ in pin)
            else:  # one side has moved it, or both to the same
                assert new[0] != lines[0]
        else:
            assert not is_forward(pin)


def is_forward(pin: tuple[tuple[str, str], ...]) -> bool:
    """Whether both sides have moved a pin forward, one of them further, and nothing else differs."""
    try:
        base, *both_sides = (Version(version) for version, _ in pin)
    except InvalidVersion:
        return False
    if len({len(one.release) for one in (base, *both_sides)} | {rest for _, rest in pin}) > 2:
        return False
    return base < min(both_sides) < max(both_sides)
