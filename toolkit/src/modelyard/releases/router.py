"""A local router that splits requests over the deployments of an endpoint, as Azure ML does.

It follows the service (how-to-safely-rollout-online-endpoints, troubleshoot-online-endpoints):
`POST /score` goes to a deployment by its share of the traffic; the header `azureml-model-deployment`
selects one directly, and then nothing is mirrored; the answer names its deployment in the same header.
An answer of the model other than 200 arrives as 424, with `ms-azureml-model-error-statuscode`; an
endpoint without traffic answers 404. Unlike the service, it sends a request to a deployment that is
down to another one with traffic, so that no request is lost; it counts as an error of the first.

Routes are read from control.json, which is replaced as a whole, so every request sees one consistent
assignment. Requests are counted per deployment and quarter of a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import socket
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelyard.files import write_json
from modelyard.releases.endpoint import DEPLOYMENT_HEADER, STATUS_HEADER

REASON_HEADER = "ms-azureml-model-error-reason"
TIMEOUT = 90.0  # seconds; Azure's own is 5 by default, a busy laptop may need longer
MOST_MIRRORS = 64  # copies in flight; more would slow the live requests
_PER_DECADE = 40
_LOWEST_MS = 0.1
_BINS = 6 * _PER_DECADE
_PERIOD = 0.25  # seconds
_PERIODS = 4 * 3600
# Headers of one hop, or set again by the client or the server.
_NOT_FORWARDED = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    DEPLOYMENT_HEADER,
}


@dataclass(frozen=True)
class Routes:
    """Content of control.json: addresses of deployments, percentages of traffic and mirror."""

    urls: Mapping[str, str]
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]


@dataclass
class Period:
    """Counts of the requests that ended in a quarter of a second; latency by bin."""

    start: float
    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Counters:
    """Counts of one deployment's live and mirrored requests, of the last hour at least."""

    def __init__(self) -> None:
        self.periods: deque[Period] = deque(maxlen=_PERIODS)
        self.under_way = 0

    def add(self, status: int, seconds: float, now: float) -> None:
        """Count a request; status 0: no answer."""
        start = math.floor(now / _PERIOD) * _PERIOD
        if not self.periods or self.periods[-1].start != start:
            self.periods.append(Period(start))
        period = self.periods[-1]
        period.requests += 1
        period.errors += status == 0 or status >= 500
        period.refused += 400 <= status < 500
        period.latency[_bin(seconds * 1000)] += 1

    def since(self, moment: float) -> dict[str, Any]:
        """Sum the periods that began at `moment` (Unix time) or later."""
        total = Period(moment)
        for period in reversed(self.periods):
            if period.start < moment:
                break
            total.requests += period.requests
            total.errors += period.errors
            total.refused += period.refused
            for at, count in period.latency.items():
                total.latency[at] += count
        return {
            "requests": total.requests,
            "errors": total.errors,
            "refused": total.refused,
            "p50_ms": _quantile(total.latency, 0.5),
            "p95_ms": _quantile(total.latency, 0.95),
        }


class Router:
    """Forwards requests, mirrors and counts them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "control.json"
        self.random = random.Random()  # noqa: S311 (no secret)
        self.counters: dict[str, Counters] = defaultdict(Counters)
        self.mirrors: set[asyncio.Task[Response | None]] = set()
        self.clients: dict[str, httpx.AsyncClient] = {}
        self._stamp: tuple[int, int] | None = None
        self._routes = Routes({}, {}, {})

    @property
    def routes(self) -> Routes:
        """The routes of the present control.json."""
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return Routes({}, {}, {})
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            urls = {
                name: deployment["url"]
                for name, deployment in content["deployments"].items()
                if deployment.get("url")
            }
            self._routes = Routes(urls, content["traffic"], content["mirror"])
            self._stamp = stamp
        return self._routes

    async def score(self, request: Request) -> Response:
        """POST /score: answer from a deployment, and mirror the request."""
        body = await request.body()
        # Read after the body: between here and the request to the deployment nothing else runs, so a
        # deployment without requests in flight gets none any more, and can be stopped.
        routes = self.routes
        headers = [(k, v) for k, v in request.headers.items() if k not in _NOT_FORWARDED]
        named = request.headers.get(DEPLOYMENT_HEADER)
        if named is not None:
            if named not in routes.urls:
                return _problem(404, f"the endpoint has no deployment {named!r}")
            answer = await self._forward(named, routes.urls[named], body, headers, count=False)
            return answer or _problem(502, f"deployment {named!r} does not answer", named)
        order = self._order(routes.traffic)
        if not order:
            return _problem(404, "the endpoint has no deployment with positive traffic")
        self._mirror_some(routes, body, headers)
        for name in order:
            if name in routes.urls:
                answer = await self._forward(name, routes.urls[name], body, headers)
                if answer is not None:
                    return answer
        return _problem(502, f"no deployment answers; tried {', '.join(order)}", order[0])

    async def metrics(self, request: Request) -> Response:
        """GET /-/metrics?since=: counts per deployment; connections to those that left are closed."""
        for name in self.clients.keys() - self.routes.urls.keys():
            if not self.counters[name].under_way and (left := self.clients.pop(name, None)):
                # A server that is stopped waits two seconds for an idle connection.
                await left.aclose()
        since = float(request.query_params.get("since", 0))
        return JSONResponse(
            {
                name: {**counters.since(since), "under_way": counters.under_way}
                for name, counters in self.counters.items()
            }
        )

    async def health(self, request: Request) -> Response:
        """GET /: the router runs."""
        return JSONResponse({"routes": {**self.routes.traffic}})

    async def described(self, request: Request) -> Response:
        """GET /swagger.json: the description of the deployment with the most traffic."""
        routes = self.routes
        for name in sorted(routes.traffic, key=lambda one: -routes.traffic[one]):
            if name in routes.urls:
                found = await self._client(name).get(
                    f"{routes.urls[name]}/swagger.json", params=request.query_params
                )
                return Response(
                    found.content, found.status_code, {DEPLOYMENT_HEADER: name}, "application/json"
                )
        return _problem(404, "the endpoint has no deployment with positive traffic")

    def _client(self, name: str) -> httpx.AsyncClient:
        """Return the client that keeps the connections to a deployment."""
        if name not in self.clients:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
            self.clients[name] = httpx.AsyncClient(
                timeout=TIMEOUT,
                limits=limits,
                trust_env=False,
                verify=False,  # noqa: S501 (deployments speak HTTP; certificates take 30 ms to read)
            )
        return self.clients[name]

    def _order(self, traffic: Mapping[str, int]) -> list[str]:
        """Draw a deployment by share; the others follow, in case it is down."""
        names = [name for name, percent in traffic.items() if percent]
        if not names:
            return []
        first = self.random.choices(names, [traffic[name] for name in names])[0]
        return [first, *(name for name in names if name != first)]

    def _mirror_some(self, routes: Routes, body: bytes, headers: list[tuple[str, str]]) -> None:
        for name, percent in routes.mirror.items():
            if name not in routes.urls or self.random.random() * 100 >= percent:
                continue
            if len(self.mirrors) < MOST_MIRRORS:
                task = asyncio.create_task(self._forward(name, routes.urls[name], body, headers))
                self.mirrors.add(task)
                task.add_done_callback(self.mirrors.discard)

    async def _forward(
        self,
        name: str,
        url: str,
        body: bytes,
        headers: list[tuple[str, str]],
        *,
        count: bool = True,
    ) -> Response | None:
        """Send a request to a deployment; None: it does not answer."""
        counters = self.counters[name]
        counters.under_way += 1
        started = time.perf_counter()
        status = 0
        try:
            found = await self._client(name).post(f"{url}/score", content=body, headers=headers)
            status = found.status_code
        except httpx.TimeoutException:
            return _problem(408, f"deployment {name!r} took longer than {TIMEOUT:g} s", name)
        except httpx.HTTPError:
            return None
        finally:
            counters.under_way -= 1
            if count:
                counters.add(status, time.perf_counter() - started, time.time())
        given = {k: v for k, v in found.headers.items() if k not in _NOT_FORWARDED}
        given[DEPLOYMENT_HEADER] = name
        if status == 200:
            return Response(found.content, status, given)
        return Response(
            found.content, 424, {**given, STATUS_HEADER: str(status), REASON_HEADER: "model_error"}
        )


def application(folder: Path) -> Starlette:
    """Make the router of the endpoint whose control.json is in `folder`."""
    router = Router(folder)

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        yield
        for client in router.clients.values():
            await client.aclose()

    return Starlette(
        routes=[
            Route("/", router.health),
            Route("/score", router.score, methods=["POST"]),
            Route("/swagger.json", router.described),
            Route("/-/metrics", router.metrics),
        ],
        lifespan=connected,
    )


def main(argv: list[str] | None = None) -> None:
    """Serve until stopped; write the address to router.json once the port is open."""
    parser = argparse.ArgumentParser(prog="python -m modelyard.releases.router")
    parser.add_argument("--folder", required=True, type=Path, help="holds control.json")
    parser.add_argument("--port", type=int, default=0, help="preferred; another if it is taken")
    arguments = parser.parse_args(argv)
    import uvicorn

    listener = _listen(arguments.port)
    port = listener.getsockname()[1]
    listener.listen(256)
    write_json(
        arguments.folder / "router.json",
        {"pid": os.getpid(), "port": port, "url": f"http://127.0.0.1:{port}"},
    )
    config = uvicorn.Config(
        application(arguments.folder), log_level="warning", access_log=False, lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    for preferred in (port, 0):
        # With its protocol named, asyncio sends small answers at once (TCP_NODELAY).
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", preferred))
        except OSError:
            listener.close()
        else:
            return listener
    raise SystemExit("error: no free port on 127.0.0.1")


def _problem(status: int, message: str, deployment: str | None = None) -> JSONResponse:
    headers = {DEPLOYMENT_HEADER: deployment} if deployment else None
    return JSONResponse({"error": {"message": message}}, status, headers)


def _bin(milliseconds: float) -> int:
    if milliseconds <= _LOWEST_MS:
        return 0
    return min(_BINS, math.ceil(math.log10(milliseconds / _LOWEST_MS) * _PER_DECADE))


def _quantile(latency: Mapping[int, int], level: float) -> float | None:
    """Return the upper end of the quantile's bin: at most 6% too high."""
    wanted = level * sum(latency.values())
    seen = 0
    for at in sorted(latency):
        seen += latency[at]
        if seen >= wanted:
            return float(_LOWEST_MS * 10 ** (at / _PER_DECADE))
    return None


if __name__ == "__main__":
    main()
