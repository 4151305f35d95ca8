"""An online endpoint on this machine: a router and deployments, in background processes.

`.endpoints/<name>/control.json` holds the endpoint's state: version and address of each deployment,
traffic and mirror. It is replaced as a whole, so deployments and traffic change together.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

from modelyard.errors import UsageError
from modelyard.files import has_file, read_json, write_json
from modelyard.project import endpoint_folder
from modelyard.releases.endpoint import (
    DEPLOYMENT_HEADER,
    MOST_MIRRORED,
    STATUS_HEADER,
    Answer,
    Deployment,
    EndpointError,
    Event,
    Metrics,
    View,
)
from modelyard.releases.processes import MARK, Processes
from modelyard.serving.server import Server

ANSWER_SECONDS = 60.0  # a loaded machine answers late; a process that has ended refuses at once
DRAIN_SECONDS = 30.0  # for requests in flight, before their deployment is stopped
_ROUTER, _RECEIVER = "router", "-receiver"


class _Deployment(BaseModel):
    version: str
    url: str | None
    pid: int | None


class _Control(BaseModel):
    deployments: dict[str, _Deployment]
    traffic: dict[str, int]
    mirror: dict[str, int]


class _Address(BaseModel):
    pid: int
    port: int
    url: str


@dataclass(frozen=True)
class Row:
    """A deployment's line in `mlops endpoint status`."""

    name: str
    version: str
    healthy: bool
    url: str | None
    traffic: int
    mirror: int
    metrics: Metrics


class LocalEndpoint:
    """See `endpoint.Endpoint`."""

    pause = 0.25
    rehearses = True
    record = None
    keeps_old = False

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        model: str,
        start: Callable[..., Server],
        download: Callable[[str, Path], Path],
        collect: bool = True,
    ) -> None:
        """Describe an endpoint, without starting it.

        Args:
            root: the project.
            name: of the endpoint and its folder.
            model: name of the registered model.
            start: starts a server, as `modelyard.serving.server.start_server` does.
            download: copies the model of a version into a folder, and returns the model's folder.
            collect: whether to collect inputs and outputs below `.collected`.

        Raises:
            UsageError: the name is not valid.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name == "models":
            raise UsageError(
                "an endpoint's name has at most 32 lowercase letters, digits and hyphens, and is not "
                f"`models`; found {name!r}"
            )
        self.root, self.name, self.model = root, name, model
        self.folder = endpoint_folder(root, name)
        self._start, self._download, self._collect = start, download, collect
        self._processes = Processes(self.folder)

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(trust_env=False)

    @property
    def url(self) -> str:
        """Address of the router; requests go to `<url>/score`.

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
        """Whether its router runs."""
        return self._router() is not None

    def open(self) -> None:
        """Start the router unless it runs, and try to start deployments that have traffic but are down."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not has_file(self.folder / "control.json"):
            self._write(_empty())
        if self._router() is None:
            self._start_router()
        view = self.view()
        for name in view.traffic:
            if not view.deployments[name].healthy:
                with contextlib.suppress(EndpointError):
                    self.deploy(name, view.deployments[name].version)

    def close(self) -> None:
        """Stop all processes; `open` restores them."""
        control = self._control()
        self._processes.stop(_ROUTER)
        for name, known in control["deployments"].items():
            self._stop_deployment(name)
            known.update(url=None, pid=None)
        if control["deployments"]:
            self._write(control)

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
        self._stop_deployment(name)
        try:
            folder = self._download(version, self.folder / "models" / f"v{version}")
            server = self._start(
                self.root,
                folder,
                name=self.model,
                version=version,
                deployment=name,
                endpoint=self.name,
                collect_to=self._start_receiver(name, folder) if self._collect else None,
                log=self._processes.log(name),
                folder=self._server_folder(name),
                detached=True,
                environment={MARK: self._processes.mark(name)},
            )
            server.wait_ready()
        except Exception as error:  # of any kind: the release is rolled back
            self._stop_deployment(name)
            raise EndpointError(
                f"deployment {name} with v{version} does not start: {error}"
            ) from error
        self._note("deployed", name, version)
        control["deployments"][name] = {
            "version": version,
            "url": server.url.rstrip("/"),
            "pid": server.pid,
        }
        self._write(control)

    def attach_autoscale(self, name: str) -> None:
        """Do nothing: a server here has one process."""

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        control = self._control()
        traffic = {name: share for name, share in percent.items() if share}
        self._require_known(traffic, control)
        if sum(traffic.values()) not in (0, 100) or min(traffic.values(), default=0) < 0:
            raise EndpointError(
                f"expected traffic that sums to 100, or to 0, found {dict(percent)}"
            )
        if both := sorted(set(traffic) & set(control["mirror"])):
            raise EndpointError(f"{both[0]} gets mirrored traffic; end the mirror first")
        for name in traffic:
            if not self._answers(name, control["deployments"][name]):
                raise EndpointError(f"deployment {name} does not answer; it cannot get traffic")
        self._write({**control, "traffic": traffic})

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        control = self._control()
        mirror = {name: share for name, share in percent.items() if share}
        self._require_known(mirror, control)
        if len(mirror) > 1 or not all(0 < share <= MOST_MIRRORED for share in mirror.values()):
            raise EndpointError(
                f"expected a mirror of at most {MOST_MIRRORED}%, to one deployment, found {dict(percent)}"
            )
        if both := sorted(set(mirror) & set(control["traffic"])):
            raise EndpointError(f"{both[0]} has live traffic; it cannot get mirrored traffic too")
        self._write({**control, "mirror": mirror})

    def invoke(self, deployment: str, payload: Any) -> Answer:
        return self._answer(payload, {DEPLOYMENT_HEADER: deployment})

    def ask(self, payload: Any) -> Answer:
        return self._answer(payload, {})

    def round_trip(self) -> float:
        return 0.0

    def _answer(self, payload: Any, headers: Mapping[str, str]) -> Answer:
        started = time.perf_counter()
        try:
            found = self._http.post(
                f"{self.url}/score",
                json=payload if not isinstance(payload, bytes) else None,
                content=payload if isinstance(payload, bytes) else None,
                headers=dict(headers),
                timeout=ANSWER_SECONDS,
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
            raise EndpointError(f"deployment {name} has traffic; send it to another one first")
        known = control["deployments"].get(name)
        if known is None:
            self._stop_deployment(name)
            return
        # It stays listed, without an address, until its processes have ended: if this command is killed
        # in between, the next one deletes it.
        known["url"] = None
        self._write(control)
        self._drain(name)
        self._stop_deployment(name)
        del control["deployments"][name]
        if known["version"] not in {one["version"] for one in control["deployments"].values()}:
            shutil.rmtree(self.folder / "models" / f"v{known['version']}", ignore_errors=True)
        self._note("deleted", name, known["version"])
        self._write(control)

    def rows(self, since: float = 0.0) -> list[Row]:
        """Describe each deployment and its requests since a moment (Unix time)."""
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
        return dict(read_json(file, _Control)) if has_file(file) else _empty()

    def _write(self, control: Mapping[str, Any]) -> None:
        write_json(self.folder / "control.json", control)

    def _note(self, event: str, deployment: str, version: str) -> None:
        """Record which version a deployment serves from now on; it assigns collected rows to versions."""
        file = self.folder / "history.json"
        known = read_json(file, list[Event]) if has_file(file) else []
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        write_json(
            file, [*known, {"at": at, "event": event, "deployment": deployment, "version": version}]
        )

    def _require_known(self, percent: Mapping[str, int], control: Mapping[str, Any]) -> None:
        for name in percent:
            if name not in control["deployments"]:
                raise EndpointError(f"endpoint `{self.name}` has no deployment {name}")

    def _answers(self, name: str, known: Mapping[str, Any]) -> bool:
        if not known.get("url") or not self._processes.is_running(name, known.get("pid")):
            return False
        # A server that is stopped keeps an idle connection for two more seconds.
        headers = {"Connection": "close"}
        try:
            found = self._http.get(f"{known['url']}/", headers=headers, timeout=ANSWER_SECONDS)
            return found.status_code < 500
        except httpx.HTTPError:
            return False

    def _metrics(self, since: float) -> dict[str, Any]:
        try:
            found = self._http.get(
                f"{self.url}/-/metrics", params={"since": since}, timeout=ANSWER_SECONDS
            )
        except httpx.HTTPError as error:
            raise EndpointError(f"the router of `{self.name}` does not answer: {error}") from None
        return dict(found.json())

    def _drain(self, name: str) -> None:
        """Wait until a deployment has no requests in flight."""
        until = time.monotonic() + DRAIN_SECONDS
        with contextlib.suppress(EndpointError):
            while time.monotonic() < until:
                if not self._metrics(time.time()).get(name, {}).get("under_way"):
                    return
                time.sleep(0.05)

    def _router(self) -> dict[str, Any] | None:
        file = self.folder / "router.json"
        if not has_file(file):
            return None
        known = read_json(file, _Address)
        if not self._processes.is_running(_ROUTER, known["pid"]):
            return None
        return dict(known)

    def _start_router(self) -> None:
        self._processes.stop(_ROUTER)
        file = self.folder / "router.json"
        port = read_json(file, _Address)["port"] if has_file(file) else 0
        self._processes.start(
            _ROUTER,
            "modelyard.releases.router",
            *("--folder", self.folder, "--port", port),
            ready=file,
            cwd=self.root,
        )
        # The port is open; the first answer comes when the router serves.
        with contextlib.suppress(httpx.HTTPError):
            self._http.get(f"{read_json(file)['url']}/", timeout=ANSWER_SECONDS)

    def _start_receiver(self, name: str, model_folder: Path) -> str:
        """Start the process that stores a deployment's collected rows; return its address."""
        role = f"{name}{_RECEIVER}"
        file = self.folder / f"{role}.json"
        contract = model_folder / "contract.yml"
        collected = self.root / ".collected"
        self._processes.start(
            role,
            "modelyard.serving.receiver",
            *("--folder", collected, "--contract", contract, "--address", file),
            ready=file,
            cwd=self.root,
        )
        return str(read_json(file)["address"])

    def _server_folder(self, name: str) -> Path:
        return self.folder / "servers" / name

    def _stop_deployment(self, name: str) -> None:
        """Stop a server, then its receiver, which gets the last rows when the server ends."""
        self._processes.stop(name)
        self._processes.stop(f"{name}{_RECEIVER}")
        shutil.rmtree(self._server_folder(name), ignore_errors=True)


def _empty() -> dict[str, Any]:
    return {"deployments": {}, "traffic": {}, "mirror": {}}
