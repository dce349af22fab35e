"""What hands out credentials, on loopback: each path has one answer, told to whoever asks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Reply = tuple[int, Any]
"""A status, and a text or what is sent as JSON."""


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Endpoint:
    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    """By method and path, without its query. What is not here is a 404."""
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]

    def reply(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        status, body = self.replies.get(f"{asked.method} {asked.path.partition('?')[0]}", (404, ""))
        return status, (body if isinstance(body, str) else json.dumps(body)).encode()


@contextmanager
def endpoint(replies: Mapping[str, Reply]) -> Iterator[Endpoint]:
    made = Endpoint(replies=dict(replies))

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = made.reply(Asked(self.command, self.path, headers, sent))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
