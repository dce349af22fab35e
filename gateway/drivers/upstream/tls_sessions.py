"""TLS session resumption: a new connection to a known host presents the ticket that it gave, and
no certificates are sent or verified again.

Neither asyncio nor uvloop pass a session. But both make TLS objects of the context's
`sslobject_class`, and a session may be set until the handshake begins. Under TLS 1.3 tickets come
after the handshake, so a session is read from a used connection: when the next one is opened.

A session is kept for KEPT_S, and only if its own handshake was a full one: no connection relies on
a certificate that was verified longer ago.
"""

import ssl
import time
from collections.abc import Callable
from typing import ClassVar, Final

KEPT_S: Final = 3600.0
MOST: Final = 256
"""Hosts; a configuration has far fewer."""


class Sessions:
    """Sessions by host, of one context: OpenSSL accepts a session only in its own context."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_host: dict[str, tuple[ssl.SSLSession, float]] = {}

    def get(self, host: str) -> ssl.SSLSession | None:
        session, until = self._by_host.get(host, (None, 0.0))
        return session if self._clock() < until else None

    def save(self, host: str, session: ssl.SSLSession) -> None:
        if len(self._by_host) >= MOST:
            self._by_host.clear()
        self._by_host[host] = session, self._clock() + KEPT_S

    def drop(self, host: str) -> None:
        self._by_host.pop(host, None)


class ResumableSSLObject(ssl.SSLObject):
    """The TLS object of one connection; `with_resumption` sets this class on a context."""

    sessions: ClassVar[Sessions]
    _begun = False

    def do_handshake(self) -> None:
        """Called again and again until it is over."""
        host = self.server_hostname or ""
        if not self._begun:
            self._begun = True
            if (session := self.sessions.get(host)) is not None:
                self.session = session
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.sessions.drop(host)  # it may be the cause: the next handshake is a full one
            raise

    def remember(self) -> bool:
        """Save its session for later connections; False while there is none."""
        host, session = self.server_hostname or "", self.session  # a copy: some 0.3 ms
        if session is None or not session.has_ticket or self.session_reused:
            return False
        self.sessions.save(host, session)
        return True


def with_resumption(context: ssl.SSLContext, sessions: Sessions | None = None) -> ssl.SSLContext:
    """Makes new connections of a context resume saved sessions. Gives the context."""
    shared = sessions or Sessions()

    class OfContext(ResumableSSLObject):
        sessions = shared

    context.sslobject_class = OfContext
    return context
