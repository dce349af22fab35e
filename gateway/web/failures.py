"""Errors of FastAPI's routes, as OpenAI error objects."""

from collections.abc import Callable
from functools import partial
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from gateway.core.errors import ClientGone, GatewayError, MethodNotAllowed, NotFound
from gateway.web import render
from gateway.web.headers import error_headers

_NOTHING: Final = (
    "There is nothing at this path. Chat completions are at /v1/chat/completions: "
    "an SDK's base_url ends in /v1."
)


_CHAT_ONLY: Final = (
    "There is nothing at this path. Of OpenAI's API this gateway has chat completions, at "
    "/v1/chat/completions, and models: a client that asks the Responses API is to be set to chat "
    "completions."
)
"""If the base_url is right: many clients use the Responses API unless configured otherwise."""


def _nothing(path: str) -> str:
    right = path.startswith("/v1/") and not path.startswith("/v1/v1/") and path != "/v1/"
    return _CHAT_ONLY if right else _NOTHING


def tell_failures(app: FastAPI, nothing: Callable[[str], str] = _nothing) -> None:
    """Make an app's errors OpenAI error objects. `nothing` gives the message of a 404 by path."""
    app.add_exception_handler(GatewayError, _failed)
    app.add_exception_handler(HTTPException, partial(_no_such_door, nothing))
    app.add_exception_handler(ConnectionAbortedError, _gone)
    app.add_exception_handler(Exception, _bug)


async def _failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, GatewayError):
        raise error
    pairs = error_headers(error, "", None)
    headers = {name.decode(): value.decode() for name, value in pairs if name != b"x-request-id"}
    body = render.error_body(error)
    return Response(body, error.status, headers, media_type="application/json")


async def _bug(request: Request, error: Exception) -> Response:
    """The client learns no more; the framework raises it again, for the server to log."""
    return await _failed(request, GatewayError("Internal error."))


async def _gone(request: Request, error: Exception) -> Response:
    return await _failed(request, ClientGone("The client went away."))


async def _no_such_door(
    nothing: Callable[[str], str], request: Request, error: Exception
) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = await _failed(
            request, MethodNotAllowed(f"{request.method} is not allowed here.")
        )
        response.headers["allow"] = _allowed(request)
        return response
    return await _failed(request, NotFound(nothing(request.scope["path"])))


def _allowed(request: Request) -> str:
    """All methods of the path. Each may have its own route, and the framework names only one's."""
    app: FastAPI = request.app
    routes = [each for each in app.routes if isinstance(each, Route)]
    here = [each for each in routes if each.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for each in here for method in each.methods or ()}))
