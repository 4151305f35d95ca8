"""The command line, called by tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import pytest
from modelyard.cli import main


class Said(NamedTuple):
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


Mlops = Callable[..., Said]


@pytest.fixture
def mlops(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mlops:
    """Call `mlops` in this process, since imports take longer than most commands: `mlops("check", "a.yml", code=2)`."""

    def call(*words: str, code: int | None = 0) -> Said:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["mlops", *words])
        # A command may set variables of its process, and says what SIGTERM does in it.
        before = signal.getsignal(signal.SIGTERM)
        try:
            with patch.dict(os.environ), pytest.raises(SystemExit) as leaving:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        said = Said(int(str(leaving.value.code)), *capfd.readouterr())
        assert said.code == code or code is None, (words, said)
        return said

    return call
