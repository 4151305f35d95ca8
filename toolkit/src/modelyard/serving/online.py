"""The scoring script of the online endpoint: `init` and `run`, which the inference server calls."""

from __future__ import annotations

import gc
import json
import logging
import os
from pathlib import Path
from typing import Any

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

from modelyard.serving import openapi
from modelyard.serving.collect import Collection, is_enabled
from modelyard.serving.deployed import model_folder, model_identity
from modelyard.serving.service import Service, read_limits

CHUNK = 2**20
DISCARDED = 64  # chunks

log = logging.getLogger("azmlinfsrv.online")

_service: Service


def init() -> None:
    """Load the model, answer once as a warm-up, and write the OpenAPI description that the server offers."""
    global _service
    _log_less()
    folder = model_folder()
    name, version = model_identity()
    service = Service(folder, name=name, version=version, limits=read_limits())
    if is_enabled():
        service.collect = Collection(service.contract)
    _write_description(service)
    _service = service
    # Walking through all that is loaded takes the garbage collector 0.15 s, in which no request is answered.
    gc.collect()
    gc.freeze()
    log.info("%s version %s answers requests, by the %s", name, version, service.path)


@rawhttp
def run(request: AMLRequest) -> AMLResponse:
    """Answer one request: 200, 400 for a body that breaks a rule, 405 for another method."""
    if request.method == "OPTIONS":
        return AMLResponse("", 200, {"Allow": "POST"})
    if request.method != "POST":
        return _response(405, {"message": "expected POST"}, {"Allow": "POST"})
    status, content = _service.answer(_body(request, _service.reader.limits.bytes))
    return _response(status, content)


def _body(request: AMLRequest, longest: int) -> bytes | None:
    """Read the body of a request; None for one that is too long.

    More of a long one is read and discarded, since a client that is still sending would see a broken
    connection instead of the answer.
    """
    try:
        if (request.content_length or 0) <= longest:
            body = bytes(request.stream.read(longest + 1))
            if len(body) <= longest:
                return body
        for _ in range(DISCARDED):
            if not request.stream.read(CHUNK):
                break
    except Exception:  # the client has disconnected, or breaks the rules of HTTP
        return b""
    return None


def _response(
    status: int, content: dict[str, Any], headers: dict[str, str] | None = None
) -> AMLResponse:
    text = json.dumps(content, separators=(",", ":"))
    return AMLResponse(text, status, {"Content-Type": "application/json", **(headers or {})})


def _write_description(service: Service) -> None:
    """Write the description to the server's root, where it is read after `init`."""
    root = Path(os.environ.get("AML_APP_ROOT", "."))
    try:
        openapi.write(service, root)
    except OSError as error:
        log.warning("no description at /swagger.json: %s cannot be written (%s)", root, error)


def _log_less() -> None:
    """Log one line per request: the server's own, with status and milliseconds."""
    logging.getLogger("gunicorn.access").setLevel(logging.WARNING)
    logging.getLogger("azmlinfsrv").addFilter(
        lambda record: record.msg != "run() output is HTTP Response"
    )
