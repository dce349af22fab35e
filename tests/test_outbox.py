"""What a turn of the loop has to send goes out at its end: together, in order, to who is there."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from gateway.drivers.redis.wire import Wire
from gateway.outbox import MOST, Outbox, outbox

Log = list[tuple[str, bytes]]


class Peer(asyncio.Transport):
    """Tells what it was sent, and when it was closed, in one log with others."""

    def __init__(self, name: str, log: Log) -> None:
        super().__init__()
        self._name, self._log, self._gone = name, log, False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self._log.append((self._name, data))

    def close(self) -> None:
        self._log.append((self._name, b"closed"))
        self._gone = True

    def abort(self) -> None:
        self._gone = True

    def is_closing(self) -> bool:
        return self._gone


class Turn:
    """An outbox, and the end of its turn."""

    def __init__(self) -> None:
        self.log: Log = []
        self.scheduled: list[Callable[[], None]] = []
        self.outbox = Outbox(self)
        self.a, self.b = Peer("a", self.log), Peer("b", self.log)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.scheduled.append(callback)

    def end(self) -> Log:
        """What has been sent by then, since the last."""
        scheduled, self.scheduled[:] = [*self.scheduled], []
        for each in scheduled:
            each()
        log, self.log[:] = [*self.log], []
        return log


@pytest.fixture
def turn() -> Turn:
    return Turn()


def test_all_of_a_turn_goes_out_at_its_end_and_all_for_one_in_one_write(turn: Turn) -> None:
    for to, data in ((turn.a, b"1"), (turn.b, b"2"), (turn.a, b"3")):
        turn.outbox.write(to, data)
    assert turn.log == []
    assert len(turn.scheduled) == 1
    assert sorted(turn.end()) == [("a", b"13"), ("b", b"2")]
    assert turn.end() == []
    turn.outbox.write(turn.a, b"4")
    assert turn.end() == [("a", b"4")], "of the next turn"


@pytest.mark.parametrize("asked", ["before", "after"])
def test_what_must_be_first_is(turn: Turn, asked: str) -> None:
    def first() -> None:
        turn.outbox.first(lambda: turn.log.append(("ledger", b"settle")))

    if asked == "before":
        first()
    turn.outbox.write(turn.a, b"answer")
    if asked == "after":
        first()
    assert turn.end() == [("ledger", b"settle"), ("a", b"answer")]
    assert turn.end() == [], "it was called once"


def test_what_is_large_is_not_copied(turn: Turn) -> None:
    large = bytes(3 * MOST)
    turn.outbox.write(turn.a, large)
    turn.outbox.write(turn.b, b"small")
    assert turn.log == []
    sent = dict(turn.end())
    assert sent["a"] is large
    assert sent["b"] == b"small"


def test_much_for_one_goes_out_at_once_but_for_the_last_of_it(turn: Turn) -> None:
    """So whoever sends it is told soon that no more is wanted."""
    large, piece = bytes(3 * MOST), b"x" * (MOST // 4)
    turn.outbox.write(turn.a, large)
    turn.outbox.first(lambda: turn.log.append(("ledger", b"settle")))
    for _ in range(7):
        turn.outbox.write(turn.a, piece)
    assert turn.log == [("ledger", b"settle"), ("a", large), ("a", 3 * piece), ("a", 3 * piece)]
    turn.log.clear()
    assert turn.end() == [("a", piece)]


def test_who_is_closed_has_got_all_that_was_for_it(turn: Turn) -> None:
    turn.outbox.write(turn.a, b"1")
    turn.outbox.write(turn.b, b"2")
    turn.outbox.first(lambda: turn.log.append(("ledger", b"settle")))
    turn.outbox.close(turn.a)
    assert turn.log == [("ledger", b"settle"), ("a", b"1"), ("a", b"closed")]
    turn.log.clear()
    assert turn.end() == [("b", b"2")]
    turn.outbox.close(turn.b)
    assert turn.log == [("b", b"closed")]


def test_who_is_gone_is_sent_nothing_and_others_are(turn: Turn) -> None:
    turn.outbox.write(turn.a, b"1")
    turn.outbox.write(turn.b, b"2")
    turn.a.abort()
    assert turn.end() == [("b", b"2")]


async def test_a_loop_has_one_as_long_as_somebody_writes() -> None:
    here, other = asyncio.get_running_loop(), asyncio.new_event_loop()
    mine, its = outbox(), outbox(other)
    assert mine is outbox(here)
    assert its is outbox(other)
    assert its is not mine
    old, old_loop = weakref.ref(its), weakref.ref(other)
    other.close()
    del other, its
    gc.collect()
    assert (old(), old_loop()) == (None, None)


async def test_who_writes_by_itself_waits_for_what_waits() -> None:
    log: Log = []
    mine = outbox()
    for name in ("settle", "another"):
        mine.first(lambda name=name: log.append(("ledger", name.encode())))  # type: ignore[misc]
    mine.write(Peer("client", log), b"answer")
    await mine.sent()
    assert sorted(log) == [("client", b"answer"), ("ledger", b"another"), ("ledger", b"settle")]


async def test_commands_to_the_ledger_go_before_an_answer() -> None:
    log: Log = []
    wire, client = Wire(5.0, lambda *_: None), Peer("client", log)
    wire.connection_made(Peer("ledger", log))
    outbox().write(client, b"answer")
    settled = wire.call(b"settle")
    outbox().flush()
    assert log == [("ledger", b"settle"), ("client", b"answer")]
    wire.data_received(b"+OK\r\n")
    assert await settled == b"OK"
    wire.fail("closed", "over")
