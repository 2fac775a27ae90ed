"""A small HTTP service for one adapted model: predict, add examples, health. ``python -m metalab serve``."""

from __future__ import annotations

import asyncio
import hmac
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from metalab.adaptation import AdaptedModel, load
from metalab.data.reading import Limits, decode
from metalab.errors import CheckpointError, MetalabError

MEGABYTE = 1_000_000
USAGE = "send the image file itself as the body: curl --data-binary @IMAGE .../predict"


@dataclass(frozen=True)
class ServiceLimits:
    """``body``: bytes of a request; ``seconds``: time for an answer; ``waiting``: most requests in line."""

    body: int = 20 * MEGABYTE
    seconds: float = 10.0
    waiting: int = 32


class Refused(Exception):
    """A request that is answered with an error: HTTP ``status`` and words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Service:
    """Answers requests for the model in ``path``; added examples are kept there when ``keep``."""

    def __init__(
        self,
        path: Path,
        limits: ServiceLimits | None = None,
        token: str | None = None,
        keep: bool = False,
    ) -> None:
        self.path, self.limits, self.token, self.keep = path, limits or ServiceLimits(), token, keep
        model = load(path)
        if not isinstance(model, AdaptedModel):
            raise CheckpointError("holds no classifier of images", where=path, fix="Use predict for pictures")
        self.model: AdaptedModel = model
        self.work = ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) // 2))
        self.waiting, self.changing = 0, threading.Lock()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/health", self.health),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/examples", self.add, methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {Refused: _refused, MetalabError: _wrong, HTTPException: _no_such}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def health(self, request: Request) -> JSONResponse:
        """GET: what is served."""
        model = self.model
        return JSONResponse({"status": "ok", "classes": model.classes, "method": model.metalearner.label})

    async def predict(self, request: Request) -> JSONResponse:
        """POST an image file as the body: its class, probabilities, and whether it is one of the classes."""
        content = await self._body(request)

        def answer() -> dict[str, Any]:
            model = self.model
            told = model.judge([decode(content, "body", Limits())])
            chances = told.probabilities[0]
            return {
                "class": model.classes[int(chances.argmax())],
                "known": None if told.known is None else bool(told.known[0]),
                "probabilities": [
                    {"class": name, "probability": round(float(chance), 6)}
                    for name, chance in zip(model.classes, chances, strict=True)
                ],
            }

        return JSONResponse(await self._work(answer))

    async def add(self, request: Request) -> JSONResponse:
        """POST an image file with ``?label=``: one example more, of a known class or a new one."""
        label = request.query_params.get("label", "").strip()
        if not label:
            raise Refused(422, "which class? Give ?label=NAME")
        content = await self._body(request)

        def answer() -> dict[str, Any]:
            image = decode(content, "body", Limits())
            with self.changing:  # two at once would lose one
                names: dict[str, Any] = {str(name): name for name in self.model.classes}
                self.model = self.model.add_examples([image], [names.get(label, label)])
                if self.keep:
                    self.model.save(self.path)
                return {"classes": self.model.classes, "examples": len(self.model.support.y)}

        return JSONResponse(await self._work(answer))

    async def _body(self, request: Request) -> bytes:
        """Return the body; raises :class:`Refused` for a wrong token or too many bytes."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.token and not hmac.compare_digest(given.encode(), self.token.encode()):
            raise Refused(401, "a token is needed: Authorization: Bearer TOKEN")
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise Refused(415, f"a form; {USAGE}")
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.limits.body:
                raise Refused(413, f"more than {self.limits.body / MEGABYTE:.0f} MB")
            parts.append(part)
        return b"".join(parts)

    async def _work(self, answer: Any) -> dict[str, Any]:
        """Answer in a thread, so that the service stays responsive; raises :class:`Refused`."""
        if self.waiting >= self.limits.waiting:
            raise Refused(503, "too many requests at once, try again")
        self.waiting += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self.work, answer)
            return await asyncio.wait_for(future, self.limits.seconds)
        except TimeoutError:
            raise Refused(504, f"not done within {self.limits.seconds:g} s") from None
        finally:
            self.waiting -= 1


async def _refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=error.status)


async def _no_such(request: Request, error: HTTPException) -> JSONResponse:
    """Answer a wrong path or method in words, as JSON like every other answer."""
    words = f"{error.detail}: there are GET /health, POST /predict and POST /examples?label=NAME"
    return JSONResponse({"error": words}, status_code=error.status_code, headers=error.headers)


async def _wrong(request: Request, error: MetalabError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=422)


def serve(service: Service, host: str, port: int) -> None:
    """Serve until interrupted."""
    import uvicorn

    uvicorn.run(service.app(), host=host, port=port, log_level="warning", timeout_keep_alive=5)
