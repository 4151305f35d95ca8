"""Bytecode that setting up an environment writes."""

from __future__ import annotations

from pathlib import Path

from modelyard.bytecode import write_bytecode


def test_packages_are_compiled_without_their_tests_and_whatever_one_of_them_holds(
    tmp_path: Path,
) -> None:
    for name in ("modelyard/one.py", "modelyard/in/two.py", "modelyard/tests/x.py", "other/y.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "modelyard" / "broken.py").write_text("this is no Python")
    write_bytecode(tmp_path)
    assert {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")} == {"one", "two"}
