"""Starting a server: the champion, the port, the deployment file, and a process that ends."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import time

import pytest
from modelyard.errors import ModelyardError, UsageError
from modelyard.serving import server as serving

from tests.small_project import make_small_project


def test_a_server_that_ends_is_reported_at_once_with_its_exit_code_and_log(tmp_path):
    log = tmp_path / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "print('no module named x'); raise SystemExit(3)"], stdout=out
        )
    server = serving.Server("http://127.0.0.1:1", process, tmp_path / "folder", log)
    began = time.monotonic()
    with pytest.raises(ModelyardError, match=r"(?s)exit code 3 .*no module named x.*log\.txt"):
        server.wait_ready(timeout=600)
    assert time.monotonic() - began < 30
    server.stop()


def test_the_scoring_scripts_own_error_is_shown_without_its_traceback(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("Traceback\nmodelyard.errors.UsageError: saved with 3.12\n\nCaught by: x\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    server = serving.Server("http://127.0.0.1:1", process, tmp_path / "folder", log)
    with pytest.raises(ModelyardError, match=r"ready: saved with 3\.12\nthe whole log: .*\.txt$"):
        server.wait_ready(timeout=600)
    server.logged = log.stat().st_size  # what an earlier server said is no reason
    with pytest.raises(ModelyardError, match=r"(?s)ready:\n.*Caught by: x"):
        server.wait_ready(timeout=600)
    server.stop()


def test_a_server_that_does_not_answer_is_reported_after_the_deadline(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    server = serving.Server("http://127.0.0.1:1", process, tmp_path)
    with pytest.raises(ModelyardError, match="did not answer within 0 s"):
        server.wait_ready(timeout=0.1)
    server.stop()
    assert not server.is_alive()


def test_without_a_champion_serve_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_small_project(tmp_path)
    with pytest.raises(UsageError, match="has no champion yet: `mlops run"):
        serving.model_to_serve(tmp_path)


def test_a_port_in_use_and_a_broken_deployment_file_are_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            serving._listen("127.0.0.1", port)
    with pytest.raises(UsageError, match="does not exist"):
        serving.read_model(tmp_path / serving.DEPLOYMENT, serving.Deployment)
    path = tmp_path / serving.DEPLOYMENT
    path.parent.mkdir(parents=True)
    path.write_text("environment_variables: {A: 1}")
    with pytest.raises(UsageError, match="code_configuration: this field is missing"):
        serving.read_model(tmp_path / serving.DEPLOYMENT, serving.Deployment)


def test_the_example_can_be_pasted_into_a_shell(tmp_path):
    rows = {"columns": ["a", "b"], "data": [['it\'s "late" $HOME', None], ["x", 1]]}
    (tmp_path / "input_example.json").write_text(json.dumps(rows))
    text = serving.welcome("http://127.0.0.1:1", tmp_path, collect=True)
    words = shlex.split(re.findall("curl .*", text)[0])
    assert json.loads(words[-1]) == [{"a": 'it\'s "late" $HOME', "b": None}]
    assert serving.example_records(tmp_path / "nothing") == []
