"""TLS sessions taken up again: a new connection to a host that was spoken to shows the ticket it
gave, and neither side sends or verifies certificates once more.

Neither asyncio nor uvloop pass on a session. But both make TLS objects of the class that a context
names, and a session may be set until the handshake begins. Under TLS 1.3 tickets come after it, so
a session is read from a connection that has been used: when the next one is opened.

A session is kept for KEPT_S, and only if its own handshake was whole: however many connections
come of it, none rests on a certificate that was verified longer ago.
"""

import ssl
import time
from collections.abc import Callable
from typing import ClassVar, Final

KEPT_S: Final = 3600.0
MOST: Final = 256
"""Hosts; a configuration has far fewer."""


class Sessions:
    """By host, and of one context: OpenSSL takes a session back only where it was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[ssl.SSLSession, float]] = {}

    def of(self, host: str) -> ssl.SSLSession | None:
        session, until = self._kept.get(host, (None, 0.0))
        return session if self._clock() < until else None

    def keep(self, host: str, session: ssl.SSLSession) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[host] = session, self._clock() + KEPT_S

    def drop(self, host: str) -> None:
        self._kept.pop(host, None)


class Spoken(ssl.SSLObject):
    """One side of a connection; `resuming` makes a context's be of this."""

    sessions: ClassVar[Sessions]
    _begun = False

    def do_handshake(self) -> None:
        """Called again and again until it is over."""
        host = self.server_hostname or ""
        if not self._begun:
            self._begun = True
            if (kept := self.sessions.of(host)) is not None:
                self.session = kept
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.sessions.drop(host)  # that may be what was not liked: the next one does without
            raise

    def remember(self) -> bool:
        """Keep its session for those to come; False while there is none to be had."""
        host, session = self.server_hostname or "", self.session  # a copy: some 0.3 ms
        if session is None or not session.has_ticket or self.session_reused:
            return False
        self.sessions.keep(host, session)
        return True


def resuming(context: ssl.SSLContext, sessions: Sessions | None = None) -> ssl.SSLContext:
    """The same, whose new connections show what was remembered of former ones."""
    kept = sessions or Sessions()

    class OfContext(Spoken):
        sessions = kept

    context.sslobject_class = OfContext
    return context
