"""An online endpoint on this machine: a router and its deployments, in processes that outlive us.

`.endpoints/<name>/control.json` is the truth: which deployment serves which version at which address,
and who gets how much. It is replaced as a whole, so traffic and deployments change together. Every
process of ours carries the endpoint's folder and its role in an environment variable; only a process
that carries it is ever stopped, so a reused process id is nobody's end, and a server whose start was
interrupted is found again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil

from modelyard.errors import UsageError
from modelyard.files import read_json, write_json
from modelyard.project import endpoint_folder
from modelyard.releases.rollout import (
    DEPLOYMENT_HEADER,
    MOST_MIRRORED,
    STATUS_HEADER,
    Answer,
    Deployment,
    EndpointError,
    Metrics,
    View,
)

MARK = "MLOPS_ENDPOINT_PROCESS"
_ROUTER, _RECEIVER = "router", "-receiver"
_READY = 60.0  # seconds a router may take to start, on a busy machine
_DRAIN = 5.0  # seconds for requests under way, before their deployment goes
_STOP = 10.0


class Server(Protocol):
    """A running server, as mlops/serving/server.py starts them."""

    url: str
    pid: int
    folder: Path | None

    def wait_ready(self) -> None:
        """Return once it answers; raise when it never will."""


class Start(Protocol):
    """Starts an inference server; see mlops/serving/server.py."""

    def __call__(
        self,
        root: Path,
        model_folder: Path,
        *,
        name: str,
        version: str,
        deployment: str,
        endpoint: str,
        collect_to: str | None,
        log: Path,
        detached: bool,
        environment: Mapping[str, str],
    ) -> Server: ...


@dataclass(frozen=True)
class Row:
    """A deployment as `mlops endpoint status` shows it."""

    name: str
    version: str
    healthy: bool
    url: str | None
    traffic: int
    mirror: int
    metrics: Metrics


class LocalEndpoint:
    """See `rollout.Endpoint`."""

    pause = 0.25

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        model: str,
        start: Start,
        bring: Callable[[str, Path], Path],
        collect: bool = True,
        port: int = 0,
    ) -> None:
        """An endpoint; nothing is started yet.

        Args:
            root: the project.
            name: of the endpoint, and of its folder.
            model: the registered model.
            start: starts a server.
            bring: copies the model folder of a version into a folder, and says where it is.
            collect: inputs and outputs are collected below `.collected`.
            port: wished for by the router.

        Raises:
            UsageError: the name cannot be a folder's.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name == "models":
            raise UsageError(
                "an endpoint's name has at most 32 lowercase letters, digits and hyphens, and is not "
                f"`models`; found {name!r}"
            )
        self.root, self.name, self.model = root, name, model
        self.folder = endpoint_folder(root, name)
        self._start, self._bring, self._collect, self._port = start, bring, collect, port

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(trust_env=False)

    @property
    def url(self) -> str:
        """Where the router is; requests go to `<url>/score`.

        Raises:
            EndpointError: it is not running.
        """
        known = self._router()
        if known is None:
            raise EndpointError(
                f"endpoint `{self.name}` is not running; start it with `mlops endpoint start`"
            )
        return str(known["url"])

    @property
    def is_running(self) -> bool:
        """Its router takes requests."""
        return self._router() is not None

    def open(self) -> None:
        """Start the router, if it is not running; and what has traffic but is down, if it will."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "control.json").is_file():
            self._write(_empty())
        if self._router() is None:
            self._start_router()
        view = self.view()
        for name in view.traffic:
            if not view.deployments[name].healthy:
                with contextlib.suppress(EndpointError):
                    self.deploy(name, view.deployments[name].version)

    def close(self) -> None:
        """Stop everything; `open` brings it back as it was."""
        control = self._control()
        self._stop(_ROUTER)
        for name, known in control["deployments"].items():
            self._stop_deployment(name, known)
            known.update(url=None, pid=None)
        if control["deployments"]:
            self._write(control)

    def rehearsal_url(self) -> str:
        return self.url

    def view(self) -> View:
        control = self._control()
        return View(
            {
                name: Deployment(name, known["version"], self._answers(name, known))
                for name, known in control["deployments"].items()
            },
            control["traffic"],
            control["mirror"],
        )

    def deploy(self, name: str, version: str) -> None:
        control = self._control()
        known = control["deployments"].get(name)
        if known and known["version"] == version and self._answers(name, known):
            return
        if known and known["version"] != version and control["traffic"].get(name):
            raise EndpointError(
                f"deployment {name} has traffic; v{version} cannot take its place at once"
            )
        control["deployments"][name] = {"version": version, "url": None, "pid": None}
        self._write(control)
        self._stop_deployment(name, known)
        try:
            folder = self._bring(version, self.folder / "models" / f"v{version}")
            server = self._start(
                self.root,
                folder,
                name=self.model,
                version=version,
                deployment=name,
                endpoint=self.name,
                collect_to=self._start_receiver(name, folder) if self._collect else None,
                log=self._log(name),
                detached=True,
                environment={MARK: self._mark(name)},
            )
            server.wait_ready()
        except Exception as error:  # whatever it is, the release goes back
            self._stop_deployment(name, None)
            raise EndpointError(
                f"deployment {name} with v{version} does not start: {error}{self._last_words(name)}"
            ) from error
        self._note("deployed", name, version)
        control["deployments"][name] = {
            "version": version,
            "url": server.url.rstrip("/"),
            "pid": server.pid,
            "folder": str(server.folder) if server.folder else None,
        }
        self._write(control)

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        control = self._control()
        traffic = {name: share for name, share in percent.items() if share}
        self._only_known(traffic, control)
        if sum(traffic.values()) not in (0, 100) or min(traffic.values(), default=0) < 0:
            raise EndpointError(f"traffic sums to 100, or to 0; asked for {dict(percent)}")
        if both := sorted(set(traffic) & set(control["mirror"])):
            raise EndpointError(f"{both[0]} takes mirrored traffic; end that first")
        for name in traffic:
            if not self._answers(name, control["deployments"][name]):
                raise EndpointError(f"deployment {name} does not answer; it gets no traffic")
        self._write({**control, "traffic": traffic})

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        control = self._control()
        mirror = {name: share for name, share in percent.items() if share}
        self._only_known(mirror, control)
        if len(mirror) > 1 or not all(0 < share <= MOST_MIRRORED for share in mirror.values()):
            raise EndpointError(
                f"at most {MOST_MIRRORED}% is mirrored, to one deployment; asked for {dict(percent)}"
            )
        if both := sorted(set(mirror) & set(control["traffic"])):
            raise EndpointError(f"{both[0]} has live traffic; it cannot take mirrored traffic too")
        self._write({**control, "mirror": mirror})

    def invoke(self, deployment: str, payload: Any) -> Answer:
        started = time.perf_counter()
        try:
            found = self._http.post(
                f"{self.url}/score",
                json=payload if not isinstance(payload, bytes) else None,
                content=payload if isinstance(payload, bytes) else None,
                headers={DEPLOYMENT_HEADER: deployment},
                timeout=60,
            )
        except httpx.HTTPError as error:
            raise EndpointError(f"the router of `{self.name}` does not answer: {error}") from None
        took = (time.perf_counter() - started) * 1000
        try:
            body = found.json()
        except ValueError:
            body = found.text
        return Answer(int(found.headers.get(STATUS_HEADER, found.status_code)), body, took)

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        known = self._metrics(since).get(deployment)
        if known is None:
            return Metrics()
        return Metrics(**{key: value for key, value in known.items() if key != "under_way"})

    def delete(self, name: str) -> None:
        control = self._control()
        if control["traffic"].get(name) or control["mirror"].get(name):
            raise EndpointError(f"deployment {name} has traffic; send that elsewhere first")
        known = control["deployments"].get(name)
        if known is None:
            self._stop_deployment(name, None)
            return
        # Still listed, without an address, until its processes are gone: a kill in between is seen.
        known["url"] = None
        self._write(control)
        self._drain(name)
        self._stop_deployment(name, known)
        del control["deployments"][name]
        if known["version"] not in {one["version"] for one in control["deployments"].values()}:
            shutil.rmtree(self.folder / "models" / f"v{known['version']}", ignore_errors=True)
        self._note("deleted", name, known["version"])
        self._write(control)

    def rows(self, since: float = 0.0) -> list[Row]:
        """Every deployment, with what happened to its requests."""
        view = self.view()
        control = self._control()
        return [
            Row(
                name,
                deployment.version,
                deployment.healthy,
                control["deployments"][name].get("url"),
                view.traffic.get(name, 0),
                view.mirror.get(name, 0),
                self.live_metrics(name, since) if self.is_running else Metrics(),
            )
            for name, deployment in sorted(view.deployments.items())
        ]

    def _control(self) -> dict[str, Any]:
        file = self.folder / "control.json"
        return dict(read_json(file)) if file.is_file() else _empty()

    def _write(self, control: Mapping[str, Any]) -> None:
        write_json(self.folder / "control.json", control)

    def _note(self, event: str, deployment: str, version: str) -> None:
        """Which version was behind a deployment when; collected data are told apart by it."""
        file = self.folder / "history.json"
        known = read_json(file) if file.is_file() else []
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        write_json(
            file, [*known, {"at": at, "event": event, "deployment": deployment, "version": version}]
        )

    def _only_known(self, percent: Mapping[str, int], control: Mapping[str, Any]) -> None:
        for name in percent:
            if name not in control["deployments"]:
                raise EndpointError(f"endpoint `{self.name}` has no deployment {name}")

    def _answers(self, name: str, known: Mapping[str, Any]) -> bool:
        if not known.get("url") or not _is_marked(known.get("pid"), self._mark(name)):
            return False
        try:
            return self._http.get(f"{known['url']}/", timeout=10).status_code < 500
        except httpx.HTTPError:
            return False

    def _metrics(self, since: float) -> dict[str, Any]:
        try:
            found = self._http.get(f"{self.url}/-/metrics", params={"since": since}, timeout=10)
        except httpx.HTTPError as error:
            raise EndpointError(f"the router of `{self.name}` does not answer: {error}") from None
        return dict(found.json())

    def _drain(self, name: str) -> None:
        """Let requests under way end."""
        until = time.monotonic() + _DRAIN
        with contextlib.suppress(EndpointError):
            while time.monotonic() < until:
                if not self._metrics(time.time()).get(name, {}).get("under_way"):
                    return
                time.sleep(0.05)

    def _router(self) -> dict[str, Any] | None:
        file = self.folder / "router.json"
        if not file.is_file():
            return None
        known = read_json(file)
        if not _is_marked(known["pid"], self._mark(_ROUTER)):
            return None
        return dict(known)

    def _start_router(self) -> None:
        self._stop(_ROUTER)
        file = self.folder / "router.json"
        port = read_json(file)["port"] if file.is_file() else self._port
        file.unlink(missing_ok=True)
        self._spawn(_ROUTER, "modelyard.releases.router", "--folder", self.folder, "--port", port)
        self._await(file, _ROUTER)
        with contextlib.suppress(httpx.HTTPError):
            self._http.get(f"{read_json(file)['url']}/", timeout=10)

    def _start_receiver(self, name: str, model_folder: Path) -> str:
        """Start what keeps a deployment's collected rows; returns its address."""
        role = f"{name}{_RECEIVER}"
        file = self.folder / f"{role}.json"
        file.unlink(missing_ok=True)
        contract = model_folder / "contract.yml"
        collected = self.root / ".collected"
        self._spawn(
            role,
            "modelyard.serving.receiver",
            *("--folder", collected, "--contract", contract, "--address", file),
        )
        self._await(file, role)
        return str(read_json(file)["address"])

    def _spawn(self, role: str, module: str, *words: object) -> None:
        """Start a process of ours that outlives this one."""
        with self._log(role).open("ab") as output:
            subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self.root,
                env={**os.environ, MARK: self._mark(role)},
            )

    def _await(self, file: Path, role: str) -> None:
        """Return when a process has written where it is."""
        until = time.monotonic() + _READY
        while time.monotonic() < until:
            if file.is_file():
                return
            if not self._processes(role):
                break
            time.sleep(0.05)
        self._stop(role)
        raise EndpointError(f"the {role} of `{self.name}` does not start{self._last_words(role)}")

    def _log(self, role: str) -> Path:
        file = self.folder / "logs" / f"{role}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _last_words(self, role: str) -> str:
        file = self._log(role)
        lines = (
            file.read_text(encoding="utf-8", errors="replace").splitlines()
            if file.is_file()
            else []
        )
        said = [line for line in lines if line.strip()][-5:]
        return "\n" + "\n".join(said) + f"\n(all of it: {file})" if said else ""

    def _mark(self, role: str) -> str:
        return f"{self.folder.resolve()}#{role}"

    def _stop_deployment(self, name: str, known: Mapping[str, Any] | None) -> None:
        """Stop its server, then what keeps its rows: the last come when the server ends."""
        self._stop(name)
        self._stop(f"{name}{_RECEIVER}")
        if known and known.get("folder"):
            shutil.rmtree(known["folder"], ignore_errors=True)

    def _stop(self, role: str) -> None:
        """Stop every process of a role: those at the top end by themselves, and end their workers."""
        running = self._processes(role)
        pids = {one.pid for one in running}
        for process in running:
            with contextlib.suppress(psutil.Error):
                if process.ppid() not in pids:
                    process.terminate()
        psutil.wait_procs(running, timeout=_STOP)
        left = self._processes(role)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=_STOP)

    def _processes(self, role: str) -> list[psutil.Process]:
        mark = self._mark(role)
        return [one for one in psutil.process_iter() if _has_mark(one, mark)]


def _empty() -> dict[str, Any]:
    return {"deployments": {}, "traffic": {}, "mirror": {}}


def _is_marked(pid: int | None, mark: str) -> bool:
    if pid is None:
        return False
    try:
        return _has_mark(psutil.Process(pid), mark)
    except psutil.NoSuchProcess:
        return False


def _has_mark(process: psutil.Process, mark: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False
