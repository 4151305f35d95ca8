"""Serves models here: the inference server of Azure ML, with the settings of the deployment file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.environments import environment_python
from modelyard.errors import ModelyardError, UsageError
from modelyard.files import link_tree
from modelyard.project import load_project
from modelyard.tracking import tracking_uri
from modelyard.yaml_files import read_yaml

DEPLOYMENT = Path("azureml") / "endpoints" / "online-deployment.yml"
LOOPBACK = "127.0.0.1"
# Of the caller's environment these would change what the server does.
NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GUNICORN_CMD_ARGS", "MLFLOW_RUN_ID")


class _Code(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    code: str
    scoring_script: str


class _Collector(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    sampling_rate: float = Field(default=1.0, gt=0, le=1)


class Deployment(BaseModel):
    """The part of azureml/endpoints/online-deployment.yml that counts here too."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code_configuration: _Code
    environment_variables: Mapping[str, str] = {}
    data_collector: _Collector = _Collector()


@dataclass
class Server:
    """An inference server that was started; `url` has no path, requests go to `url`/score.

    With `url` and `pid` from elsewhere (a state file, say) it can be asked and stopped too.
    """

    url: str
    pid: int
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    folder: Path | None = None

    def is_alive(self) -> bool:
        """Whether its process runs."""
        if self.process is not None:
            return self.process.poll() is None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def is_ready(self, timeout: float = 1.0) -> bool:
        """Whether it answers."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return once it answers.

        Raises:
            ModelyardError: it has ended, or does not answer in time; with the end of its log.
        """
        until = time.monotonic() + timeout
        while not self.is_ready():
            if not self.is_alive():
                raise ModelyardError(f"the server ended before it was ready{self._last_words()}")
            if time.monotonic() > until:
                raise ModelyardError(
                    f"the server did not answer within {timeout:.0f} s{self._last_words()}"
                )
            time.sleep(0.05)

    def stop(self, timeout: float = 15.0) -> None:
        """End it and its workers: they finish what they are at, unless that takes too long."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            until = time.monotonic() + timeout
            while self.is_alive() and time.monotonic() < until:
                time.sleep(0.02)
        # Workers live in the server's process group, and may outlive it by a moment.
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        elif self.process is not None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
            if self.process.stdin:
                self.process.stdin.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _last_words(self) -> str:
        if self.log is None or not self.log.is_file():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return ":\n" + "\n".join(lines[-25:]) + f"\nthe whole log: {self.log}"


def start_server(
    root: Path,
    model_folder: Path,
    *,
    name: str,
    version: str,
    port: int = 0,
    host: str = LOOPBACK,
    workers: int = 1,
    deployment: str = "blue",
    endpoint: str = "local",
    collect_to: str | None = None,
    log: Path | None = None,
    detached: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start the inference server for a model; `wait_ready` of the result says when it answers.

    Args:
        root: of the project: its src/score.py, its deployment file, its serving environment.
        model_folder: the MLflow model.
        name: of the model, for its answers.
        version: of the model, likewise.
        port: 0 for any that is free.
        host: address to listen on.
        workers: processes that answer.
        deployment: named with the rows that are collected.
        endpoint: likewise.
        collect_to: "HOST:PORT" of a receiver; None collects nothing.
        log: file that gets what the server prints; None: this process's own output.
        detached: let the server outlive this process; otherwise it ends with it, however it ends.
        environment: variables beyond those of the deployment file.

    Raises:
        UsageError: the deployment file is broken, the port is taken, or no environment can be made.
    """
    settings = load_deployment(root)
    python = environment_python(root, "serve")
    script = (root / DEPLOYMENT).parent / settings.code_configuration.code
    script = script.resolve() / settings.code_configuration.scoring_script
    folder = Path(tempfile.mkdtemp(prefix="mlops-serve-"))
    variables = {
        **settings.environment_variables,
        **(_collecting(collect_to, settings) if collect_to else {}),
        "AZUREML_MODEL_DIR": str(_mounted(model_folder.resolve(), folder, name, version)),
        "AML_APP_ROOT": str(folder),
        "MODEL_NAME": name,
        "MODEL_VERSION": version,
        "ENDPOINT_NAME": endpoint,
        "DEPLOYMENT_NAME": deployment,
        **(environment or {}),
    }
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in NOT_INHERITED and not key.startswith(("AZUREML_", "AML_"))
    }
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    by_socket = os.name == "posix"
    if not by_socket:  # the server there takes no socket, and opens the port itself
        listening.close()
    watch = "no" if detached else "yes"
    fd = listening.fileno() if by_socket else -1
    launcher = Path(__file__).with_name("inference_server.py")
    command = [python, "-P", launcher, fd, host, port, workers, script, watch]
    with contextlib.ExitStack() as stack:
        out: Any = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(  # noqa: S603 (the project's own script)
            [str(word) for word in command],
            cwd=folder,
            env={**inherited, **variables},
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            pass_fds=(fd,) if by_socket else (),
            start_new_session=True,
        )
        if by_socket:
            listening.close()
    shown = LOOPBACK if host in ("0.0.0.0", "") else host  # noqa: S104 (a comparison)
    return Server(f"http://{shown}:{port}", process.pid, log, process, folder)


def serve(
    root: Path,
    *,
    port: int,
    version: str | None,
    workers: int,
    host: str,
    collect: bool,
    once: bool = False,
) -> None:
    """`mlops serve`: run until interrupted, or until one example request is answered.

    Raises:
        UsageError: there is no champion, or no such version.
        ModelyardError: the server does not start, or ends.
    """
    from modelyard.serving.receiver import Receiver

    name = load_project(root).model
    number, folder = model_to_serve(root, version)
    print(f"{name} v{number}: starting the inference server", flush=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        receiver = None
        if collect:
            receiver = Receiver(root / ".collected", folder / "contract.yml")
            stack.enter_context(receiver)
        server = start_server(
            root,
            folder,
            name=name,
            version=number,
            port=port,
            host=host,
            workers=workers,
            collect_to=receiver.address if receiver else None,
            log=root / ".endpoints" / "once.log" if once else None,
        )
        stack.callback(server.stop)
        server.wait_ready(timeout=120)
        if once:
            print(answer_example(server, folder))
            return
        print(welcome(server, folder, collect=collect), flush=True)
        while server.is_alive():
            time.sleep(0.2)
        raise ModelyardError("the server has ended by itself; its last lines above say why")


def welcome(server: Server, folder: Path, *, collect: bool) -> str:
    """What to do with a server that is ready."""
    body = json.dumps(example_records(folder))
    lines = [
        f"\nready: POST {server.url}/score; described at {server.url}/swagger.json?version=3",
        f"collected rows go to .collected/local/blue{'' if collect else ' with --collect'}",
        "try it:",
        f"  curl -s {server.url}/score -H 'Content-Type: application/json' -d '{_quoted(body)}'",
        "Ctrl-C ends it\n",
    ]
    return "\n".join(lines)


def answer_example(server: Server, folder: Path) -> str:
    """Ask for the first row of the example that a model was saved with; what was asked and answered.

    Raises:
        ModelyardError: the answer is not 200.
    """
    body = json.dumps(example_records(folder))
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request("POST", "/score", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise ModelyardError(f"the server does not answer: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise ModelyardError(f"the server answers its own example with {answer.status}: {text}")
    return f"asked     {body}\nanswered  {text}"


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def example_records(folder: Path, rows: int = 1) -> list[dict[str, Any]]:
    """The first rows of the example that a model was saved with, as records."""
    try:
        found = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        names, values = found["columns"], found["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [dict(zip(names, row, strict=True)) for row in values[:rows]]


def model_to_serve(root: Path, version: str | None = None) -> tuple[str, Path]:
    """Number and folder of the champion, or of a version.

    Raises:
        UsageError: there is no champion, or no such version.
    """
    from modelyard.models.registry import locate

    name = load_project(root).model
    kept = root / ".endpoints" / "models"
    found = locate(name, tracking_uri(root), version, ["model"], kept)
    if found is None:
        raise UsageError(
            f"{name} has no champion yet: `mlops run azureml/pipelines/train.yml` trains one, "
            "`mlops promote` makes it the champion"
        )
    return found.number, found.paths["model"]


def load_deployment(root: Path) -> Deployment:
    """Read the deployment file.

    Raises:
        UsageError: it is missing or broken.
    """
    path = root / DEPLOYMENT
    try:
        return Deployment.model_validate(read_yaml(path))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; restore it from git") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable as YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']} (found: {first['input']!r})"
        ) from None


def _collecting(receiver: str, settings: Deployment) -> dict[str, str]:
    host, _, port = receiver.rpartition(":")
    return {
        "AZUREML_MDC_ENABLED": "true",
        "AZUREML_MDC_HOST": host,
        "AZUREML_MDC_PORT": port,
        "AZUREML_MDC_SAMPLE_RATE": str(round(settings.data_collector.sampling_rate * 100)),
    }


def _mounted(model: Path, folder: Path, name: str, version: str) -> Path:
    """The model at the path that Azure ML would mount it at, below `folder`."""
    top = folder / "azureml-models" / name / version
    top.mkdir(parents=True)
    try:
        (top / "model").symlink_to(model, target_is_directory=True)
    except OSError:  # Windows asks for a privilege
        link_tree(model, top / "model")
    return top


def _listen(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        raise UsageError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', error)}): "
            "name another --port or --host"
        ) from None
    found.listen(1024)
    return found


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
