"""What a drill starts."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import pytest
from modelyard.drills import drill


class Handle:
    pass


def test_a_server_ends_with_its_drill_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def start_server(**options: object) -> Handle:
        given.update(options)
        return Handle()

    monkeypatch.setattr(drill, "start_server", start_server)
    one = drill._Drill.__new__(drill._Drill)
    one.receiver, one.servers = SimpleNamespace(address="127.0.0.1:1"), []
    handle = weakref.ref(one._start_server(environment={}, detached=True))
    gc.collect()
    assert given["detached"] is False and handle() is not None
