"""Files are whole or as they were, and digests tell any two folders apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.errors import UsageError
from modelyard.evidence import Evidence
from modelyard.files import (
    digest,
    has_file,
    locked,
    parse_answer,
    read_json,
    read_text,
    write_json,
    write_text,
)
from modelyard.yaml_files import read_mapping, read_model

FOLDERS = st.dictionaries(
    st.text("ab", min_size=1, max_size=2), st.text("xy", max_size=2), max_size=3
)


@given(FOLDERS, FOLDERS)
def test_two_folders_have_the_same_digest_exactly_if_names_and_contents_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, str], other: dict[str, str]
) -> None:
    digests = []
    for content in (one, other):
        folder = tmp_path_factory.mktemp("folder")
        for name, text in content.items():
            (folder / name).write_text(text, encoding="utf-8")
        digests.append(digest(folder))
    assert (digests[0] == digests[1]) == (one == other)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def refused(source: object, target: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OSError, match="no space left"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_text_is_never_read_half_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    before = path.stat().st_ino
    write_text(path, "new")
    assert path.stat().st_ino != before  # another file took its place, in one step
    assert path.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize(("content", "message"), [(None, "does not exist"), ("{", "not readable")])
def test_what_is_not_json_is_wrong_usage(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the content should be an object, found list"),
        ("null", "the content should be an object, found NoneType"),
        ('{"details": {}, "details": {}}', "the field 'details' is given twice"),
        ("{}", "details is missing"),
        ('{"details": 1}', "details should be an object, found int"),
        ('{"details": {}}', "has no field 'verdict'"),
    ],
)
def test_a_damaged_state_file_names_itself_and_what_is_wrong_in_it(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        _ = read_json(path, Evidence)["details"]["verdict"]
    assert str(path) in str(error.value) and message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a mapping, found nothing; restore it from git"),
        (b"- 1\n", "expected a mapping, found list; restore it from git"),
        (
            b"a: \xe9\n",
            " is not UTF-8 text (invalid continuation byte at byte 3): save it as UTF-8",
        ),
        (b"a: !!timestamp x\n", ":1: not valid YAML"),
        (b"a:\n  b: 1\n", ":2: the field `path` is missing"),
    ],
)
def test_a_broken_yaml_file_names_itself_and_what_is_wrong_in_it(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        _ = read_mapping(path)["a"]["path"]
    assert str(error.value).startswith(f"{path}") and message in str(error.value)


@pytest.mark.parametrize("made", ["folder", "link"])
def test_what_is_no_file_is_not_taken_for_none(tmp_path: Path, made: str) -> None:
    path = tmp_path / "a.json"
    assert not has_file(path)
    if made == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    for read in (has_file, read_text, read_json):
        with pytest.raises(
            UsageError, match=f"^{path}: expected a file, found a {made}.*; move it"
        ):
            read(path)


def test_a_long_value_or_key_is_cut_in_a_message(tmp_path: Path) -> None:
    path, long = tmp_path / "a.yml", "x y" * 5_000  # a key has at most 1,024
    for text in (
        f"details: '{long}'",
        f"'{long[:1_000]}': 1\n'{long[:1_000]}': 1",
        f"details: {{}}\nmetrics: {{'{long[:1_000]}': a}}",
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="…") as error:
            read_model(path, Evidence)
        assert len(str(error.value).removeprefix(str(path))) < 350


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8-sig")
    assert read_text(tmp_path / "a.txt") == "a"


def test_a_lock_of_another_process_is_waited_for_aloud_and_ends_with_that_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "folder" / "lock"
    hold = (
        "import sys, pathlib; from modelyard.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'this test'): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused = pytest.raises(UsageError, match="another command has not ended in 0 s; try again")
        with refused, locked(place, "another command", 0):
            pass
        holder.kill()
    with locked(place, "another command", 0):
        assert capfd.readouterr().err == "waiting until another command has ended\n"


def test_ids_are_in_order_whatever_the_clock_of_the_machine_shows() -> None:
    make = "from modelyard.files import new_id; print(new_id())"
    ids = [
        subprocess.check_output(
            [sys.executable, "-c", make], env=os.environ | {"TZ": zone}, text=True
        )
        for zone in ("UTC-12", "UTC", "UTC+12")
    ]
    assert [one[:15] for one in ids] == sorted(one[:15] for one in ids)


def test_what_a_command_printed_that_is_not_json_is_named_with_the_command() -> None:
    assert parse_answer("", "az", "group", "show") is None
    with pytest.raises(UsageError, match="what `az group show` printed is not readable as JSON"):
        parse_answer("WARNING: an extension\n{}", "az", "group", "show")
