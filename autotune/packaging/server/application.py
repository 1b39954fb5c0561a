"""The HTTP application: the Open Inference Protocol's endpoints for one model, and Prometheus metrics."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .faults import RequestFault, shown
from .infer_request import read_request
from .infer_response import InferResponse, write_response
from .instance_pool import InstancePool
from .metrics import Metrics
from .signature import Signature

_JSON_BYTES = "Inference-Header-Content-Length"
# What proxies call a client that closed its connection; nobody reads it but the metrics.
_CLIENT_GONE = 499


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a request: seconds from its arrival to its outputs, and bytes of its body."""

    request_secs: float
    body_bytes: int


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model behind the endpoints.

    is_ready: whether clients should send requests; rejects: exceptions with which the model refuses inputs.
    """

    signature: Signature
    pool: InstancePool
    metrics: Metrics
    limits: Limits
    is_ready: Callable[[], bool]
    rejects: tuple[type[Exception], ...] = ()

    async def live(self, _request: Request) -> Response:
        """`/v2/health/live`."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """`/v2/health/ready`."""
        is_ready = self.is_ready()
        return JSONResponse({"live": True, "ready": is_ready}, 200 if is_ready else 503)

    async def server_metadata(self, _request: Request) -> Response:
        """`/v2`."""
        name, version = self.signature.model, self.signature.version
        return JSONResponse({"name": name, "version": version, "extensions": ["binary_tensor_data"]})

    async def model_metadata(self, request: Request) -> Response:
        """`/v2/models/M`."""
        self._check_name(request)
        return JSONResponse(self.signature.metadata())

    async def model_ready(self, request: Request) -> Response:
        """`/v2/models/M/ready`."""
        self._check_name(request)
        is_ready = self.is_ready()
        return JSONResponse({"name": self.signature.model, "ready": is_ready}, 200 if is_ready else 503)

    async def infer(self, request: Request) -> Response:
        """`/v2/models/M/infer`."""
        started, status = time.perf_counter(), 500
        try:
            found = await self._infer(request)
            status = 200
            self.metrics.request_secs.observe(time.perf_counter() - started)
        except RequestFault as fault:
            status = fault.status
            raise
        except asyncio.CancelledError:  # at the end of a stop
            status = 503
            raise RequestFault(status, "expected outputs before the server stopped; found none") from None
        except ClientDisconnect:
            status = _CLIENT_GONE
            return Response(status_code=400)
        finally:
            self.metrics.count(status)
        if found.json_bytes is None:
            return Response(found.body, media_type="application/json")
        return Response(
            found.body,
            headers={_JSON_BYTES: str(found.json_bytes)},
            media_type="application/octet-stream",
        )

    async def _infer(self, request: Request) -> InferResponse:
        deadline = asyncio.get_running_loop().time() + self.limits.request_secs
        # First of all: a client that still sends its body may not see an answer.
        body = await _read(request, self.limits.body_bytes, deadline)
        self._check_name(request)
        asked = read_request(body, _json_bytes(request), self.signature)
        try:
            outputs = await self.pool.run(asked.inputs, deadline)
        except self.rejects as error:
            raise RequestFault(400, str(error).partition("\n")[0]) from error
        return write_response(asked, outputs, self.signature)

    async def prometheus(self, request: Request) -> Response:
        """`/metrics`."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.metrics.registry), headers={"Content-Type": content_type})

    def _check_name(self, request: Request) -> None:
        name, version = request.path_params["model"], request.path_params.get("version")
        if name != self.signature.model:
            raise RequestFault(404, f"expected the model {self.signature.model}; found {shown(name)}")
        if version is not None and version != self.signature.version:
            raise RequestFault(404, f"expected version {self.signature.version}; found {shown(version)}")


def application(model: ServedModel) -> Starlette:
    """The application with all endpoints."""

    @asynccontextmanager
    async def running(_app: Starlette) -> AsyncIterator[None]:
        async with model.pool.running():
            yield

    routes = [
        Route("/v2/health/live", model.live),
        Route("/v2/health/ready", model.ready),
        Route("/v2", model.server_metadata),
        Route("/metrics", model.prometheus),
    ]
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        routes += [
            Route(path, model.model_metadata),
            Route(f"{path}/ready", model.model_ready),
            Route(f"{path}/infer", model.infer, methods=["POST"]),
        ]
    handlers = {RequestFault: _fault, HTTPException: _http_exception, Exception: _failure}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=running)


async def _fault(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestFault)
    return JSONResponse({"error": error.message}, error.status, dict(error.headers))


async def _http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failure(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "the model could not be run; the server's log says why"}, 500)


def _json_bytes(request: Request) -> int | None:
    """The length of the JSON part by its header, None without one."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RequestFault(415, f"expected a body without Content-Encoding; found {shown(encoding)}")
    values = request.headers.getlist(_JSON_BYTES)
    if not values:
        return None
    if len(values) > 1 or not re.fullmatch("[0-9]{1,18}", values[0]):
        raise RequestFault(
            400, f"expected one length of the JSON part in bytes as {_JSON_BYTES}; found another"
        )
    return int(values[0])


async def _read(request: Request, most_bytes: int, deadline: float) -> bytes:
    """The body. Raises RequestFault where it is too large or does not arrive in time."""
    too_large = RequestFault(413, f"expected a body of at most {most_bytes} bytes; found a larger one")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 18 or int(length) > most_bytes:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise RequestFault(
            408, "expected the whole body within the server's time limit; found a part"
        ) from None
    return b"".join(chunks)
