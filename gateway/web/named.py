"""For all paths off the hot one: an id in each answer, and the limit of the headers' size."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.errors import HeadersTooLarge
from gateway.web.asgi import AsgiClient
from gateway.web.door import Door, send_error
from gateway.web.headers import check_size


class Named:
    """Wraps an app: each answer gets a request id, and requests that our shutdown or the size of
    their headers ends get an error.
    """

    def __init__(self, door: Door, app: ASGIApp) -> None:
        self.door = door
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, begun = f"req_{self.door.now.world.new_id()}", False

        async def named(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            check_size(scope["headers"])
            await self.app(scope, receive, named)
        except HeadersTooLarge as error:
            client = AsgiClient((), receive, send, self.door.client_gone)
            await send_error(client, error, request_id)
        except asyncio.CancelledError as met:
            if begun:
                raise
            client = AsgiClient((), receive, send, self.door.client_gone)
            await send_error(client, self.door.shutdown_error(client, met), request_id)
