"""Serving models on a laptop with Azure ML's inference server and the settings of the deployment file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from modelyard.environments import environment_python
from modelyard.errors import ModelyardError, UsageError
from modelyard.files import link_tree, tail
from modelyard.project import load_project
from modelyard.tracking import tracking_uri
from modelyard.yaml_files import read_model

DEPLOYMENT = Path("azureml") / "endpoints" / "online-deployment.yml"
LOOPBACK = "127.0.0.1"
READY_SECONDS = 300.0  # a busy machine is slow to import a model's packages; a server that ends is noticed at once
# These variables of the caller would change the server's behaviour; without bytecode each start compiles its packages.
NOT_INHERITED = (
    "GUNICORN_CMD_ARGS",
    "MLFLOW_RUN_ID",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)
# The scoring script's own, in the traceback that the inference server prints.
_OWN_ERROR = re.compile(r"^modelyard\.\S+: (.+)$", re.MULTILINE)


class _Code(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    code: str
    scoring_script: str


class _Collector(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    sampling_rate: float = Field(default=1.0, gt=0, le=1)


class Deployment(BaseModel):
    """The part of azureml/endpoints/online-deployment.yml that applies on a laptop as well."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code_configuration: _Code
    environment_variables: Mapping[str, str] = {}
    data_collector: _Collector = _Collector()


@dataclass
class Server:
    """A running inference server; `url` has no path, requests go to `url`/score.

    Attributes:
        url: "http://HOST:PORT".
        process: the server's own; its workers are in its process group.
        folder: the server's root, which `stop` deletes.
        log: file with what it prints; None where that is this process's own output.
        logged: bytes that others have written to that file before.
    """

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path | None = None
    logged: int = 0

    @property
    def pid(self) -> int:
        """Number of the server's process."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process.poll() is None

    def is_ready(self) -> bool:
        """Whether it answers; a loaded one takes seconds, one that has ended resets the connection."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until it answers.

        Raises:
            ModelyardError: its process has ended, or it does not answer in time; with the end of its log.
        """
        until = time.monotonic() + timeout
        while not self.is_ready():
            code = self.process.poll()
            if code is not None:
                raise ModelyardError(
                    f"the server ended with exit code {code} before it was ready{self._log_tail()}"
                )
            if time.monotonic() > until:
                raise ModelyardError(
                    f"the server did not answer within {timeout:.0f} s{self._log_tail()}"
                )
            time.sleep(0.05)

    def stop(self, timeout: float = 15.0) -> None:
        """End the server and its workers; requests under way get `timeout` seconds to finish."""
        if self.is_alive():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        # Workers live in the server's process group, and may outlive it by a moment.
        if sys.platform == "win32":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _log_tail(self) -> str:
        if self.log is None:
            return ""
        printed = self.log.read_bytes()[self.logged :].decode(errors="replace")
        said = _OWN_ERROR.findall(printed)
        reason = f" {said[-1]}" if said else f"\n{tail(self.log)}"
        return f":{reason}\nthe whole log: {self.log}"


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
    folder: Path | None = None,
    detached: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start the inference server for a model; call `wait_ready` of the result before asking it.

    Args:
        root: of the project, with src/score.py, the deployment file and the serving environment.
        model_folder: the MLflow model.
        name: of the model, for its answers.
        version: of the model, likewise.
        port: 0 for any free port.
        host: address to listen on.
        workers: number of processes that answer.
        deployment: name that collected rows are stored under.
        endpoint: likewise.
        collect_to: "HOST:PORT" of a receiver; None collects nothing.
        log: file for the server's output; None for this process's own output.
        folder: new root of the server; None for a temporary one.
        detached: let the server outlive this process; otherwise it ends when this process does.
        environment: variables in addition to those of the deployment file.

    Raises:
        UsageError: the deployment file is broken, the port is taken, or no environment can be made.
    """
    settings = read_model(root / DEPLOYMENT, Deployment)
    python = environment_python(root, "serve")
    script = (root / DEPLOYMENT).parent / settings.code_configuration.code
    script = script.resolve() / settings.code_configuration.scoring_script
    listening = _listen(host, port)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="mlops-serve-"))
    else:
        folder = folder.resolve()
        folder.mkdir(parents=True)
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
    port = listening.getsockname()[1]
    by_socket = os.name == "posix"
    if not by_socket:  # the server takes no socket there, and opens the port itself
        listening.close()
    attached = "no" if detached else "yes"
    fd = listening.fileno() if by_socket else -1
    launcher = Path(__file__).with_name("inference_server.py")
    command = [python, "-P", launcher, fd, host, port, workers, script, attached]
    with contextlib.ExitStack() as stack:
        out: Any = None
        logged = 0
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(log.open("ab"))
            logged = out.tell()
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
    return Server(f"http://{shown}:{port}", process, folder, log, logged)


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
        server.wait_ready()
        if once:
            print(answer_example(server, folder))
            return
        print(welcome(server.url, folder, collect=collect), flush=True)
        while server.is_alive():  # in short waits: on Windows, Ctrl-C does not interrupt a long one
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.2)
        raise ModelyardError("the server has ended; its last lines above say why")


def welcome(url: str, folder: Path, *, collect: bool) -> str:
    """Describe how to ask a server that is ready."""
    body = json.dumps(example_records(folder))
    lines = [
        f"\nready: POST {url}/score; described at {url}/swagger.json?version=3",
        f"collected rows go to .collected/local/blue{'' if collect else ' with --collect'}",
        "try it:",
        f"  curl -s {url}/score -H 'Content-Type: application/json' -d {shlex.quote(body)}",
        "Ctrl-C ends it\n",
    ]
    return "\n".join(lines)


def answer_example(server: Server, folder: Path) -> str:
    """Send the first row of the example that a model was saved with; returns request and answer.

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


def example_records(folder: Path) -> list[dict[str, Any]]:
    """Read the first row of the example that a model was saved with, as a list of records."""
    try:
        found = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        names, values = found["columns"], found["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [dict(zip(names, row, strict=True)) for row in values[:1]]


def model_to_serve(root: Path, version: str | None = None) -> tuple[str, Path]:
    """Find number and folder of the champion, or of a version.

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


def _collecting(receiver: str, settings: Deployment) -> dict[str, str]:
    host, _, port = receiver.rpartition(":")
    return {
        "AZUREML_MDC_ENABLED": "true",
        "AZUREML_MDC_HOST": host,
        "AZUREML_MDC_PORT": port,
        "AZUREML_MDC_SAMPLE_RATE": str(round(settings.data_collector.sampling_rate * 100)),
    }


def _mounted(model: Path, folder: Path, name: str, version: str) -> Path:
    """Link the model below `folder`, at the path where Azure ML mounts it."""
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
