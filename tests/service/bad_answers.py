"""What a provider may get wrong in any format, and what becomes of it: the table."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.service.fault_upstream import (
    CHUNKED,
    END,
    OK,
    Script,
    Wire,
    chunk,
    half_closes,
    hangs,
    head,
    murmurs,
    once_flowing,
    pours,
    resets,
    says,
    sized,
)
from tests.service.good_answers import Format, Told

KEY: Final = "Zx81-quiet-harbour-0042"
"""Looks like no provider's keys."""

JSON: Final = "content-type: application/json"
HTML: Final = "content-type: text/html"
_PAGE: Final = b"<html><body><h1>hidden gateway at 127.0.0.1</h1></body></html>"
_MB: Final = 2**20

Paid = tuple[int, int] | None


@dataclass(frozen=True)
class Row:
    """`whole` and `flow` are what is sent to a client that asked for no stream, and for one; None
    where there is no such fault. What it gets: "ok", an error's kind, or "mid " and the kind when
    some of the answer had flowed. `paid` is (prompt, completion) in tokens where that is not what
    `owed` says.
    """

    name: str
    whole: Script | None
    whole_gets: str
    flow: Script | None
    flow_gets: str
    paid: Paid = None
    waits: bool = False


FREE: Final = ("reset", "faulty", "misconfigured", "overloaded", "throttled", "rejected")


def owed(form: Format, gets: str) -> tuple[int, int]:
    """Tokens that an answer costs: what was told of a good one, else what was counted."""
    if gets in FREE:
        return 0, 0
    begins_with_usage = form.name == "anthropic"
    costs = {"ok": (11, 7), "mid": (11 if begins_with_usage else 4, 3)}
    return costs.get(gets.partition(" ")[0], (4, 0))


def bomb(some: bytes) -> bytes:
    """So many times 66, packed with deflate: after a full flush its pieces may be repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(some) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * 66 + packer.flush()


class Speaker:
    """Says things as a format frames them."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self.first, self.rest = form.flow()
        self.begun = self.opened + chunk(self.first)

    @property
    def opened(self) -> bytes:
        return head(CHUNKED, f"content-type: {self.form.kind}")

    def body(self, body: bytes, *headers: str, status: str = OK) -> Script:
        return says(sized(body, *(headers or (JSON,)), status=status))

    def stream(self, data: bytes) -> Script:
        return says(self.opened, chunk(data), END)

    def then(self, data: bytes) -> Script:
        """A piece of an answer, and then this."""
        return once_flowing(self.begun, says(chunk(data), END))

    def both(self, name: str, body: bytes, gets: str, *headers: str, status: str = OK) -> Row:
        """The same body, whether a stream was asked for or not."""
        script = self.body(body, *headers, status=status)
        return Row(name, script, gets, script, gets)

    def usage(self, name: str, told: Told) -> Row:
        """All of it is counted by us."""
        form = self.form
        whole, flow = self.body(form.whole(told=told)), self.stream(form.stream(told=told))
        return Row(name, whole, "ok", flow, "ok", (4, 3))

    def echo(self, name: str, wrap: Callable[[str], str], status: str, gets: str) -> Row:
        """An error that says back what it was asked with; in a stream, once that has begun."""
        form = self.form

        def words(wire: Wire) -> str:
            at = f"127.0.0.1:{wire.port}"
            path = f"{form.base}/chat"
            return wrap(f"{KEY} http://{at}{path} {at} {path} Bearer {KEY}")

        async def whole(wire: Wire) -> None:
            await wire.say(sized(form.error(words(wire)), JSON, status=f"HTTP/1.1 {status}"))

        async def inside(wire: Wire) -> None:
            await wire.say(chunk(form.error_inside(words(wire))), END)

        return Row(name, whole, gets, once_flowing(self.begun, inside), "mid *")


SUBSET: Final = re.compile(
    "truncated|reset-midway|half-a-gzip|empty|page-(200|502)|not-json|redirect-302|a-line-.*"
    "|answers-the-other-way|(hangs|murmurs)-midway|.*-behind-the-end|no-usage|negative-.*|absurd-.*"
    "|usage-of-nothing|nan|no-utf-8|echo-(401|400|cut-at-485)|silence-.*"
)
"""What differs from format to format; how HTTP is broken does not."""


def everywhere(form: Format) -> Iterator[Row]:
    """Faults of every format, as it has them."""
    say = Speaker(form)
    for part in (_cut, _no_answers, _too_much, _waits, _usages, _echoes):
        for row in part(say):
            if form.name == "openai" or SUBSET.fullmatch(row.name):
                yield row


def redirects(status: int) -> Script:
    """To a host that must never hear of it."""

    async def script(wire: Wire) -> None:
        where = f"location: http://127.0.0.1:{wire.elsewhere}/hidden"
        await wire.say(sized(b"", where, status=f"HTTP/1.1 {status} Found"))

    return script


# fmt: off
def _cut(say: Speaker) -> Iterator[Row]:
    good, first, begun = say.form.whole(), say.first, say.begun
    gzipped = "content-encoding: gzip"
    yield Row("truncated", say.body(good[:-9]), "broken",
              once_flowing(begun, says(END)), "mid broken")
    yield Row("truncated-early", say.body(good[:30]), "broken",
              say.stream(first[:30]), "broken")
    yield Row("length-too-long", says(sized(good, off=9)), "broken",
              once_flowing(sized(first, off=9), says()), "mid broken")
    yield Row("length-too-short", says(sized(good, off=-9)), "broken",
              once_flowing(sized(first), says(say.rest)), "mid broken")
    yield Row("reset-at-once", resets(), "reset", resets(), "reset")
    yield Row("reset-after-head", resets(say.opened), "broken",
              resets(say.opened), "broken")
    yield Row("reset-midway", resets(sized(good)[:-9]), "broken",
              once_flowing(begun, resets()), "mid broken")
    yield Row("half-closed-midway", half_closes(sized(good)[:-9]), "broken",
              once_flowing(begun, half_closes()), "mid broken")
    yield Row("bad-chunk", says(say.opened, chunk(good), b"zz\r\n"), "broken", None, "")
    # aiohttp does not notice: to it the provider is silent.
    yield Row("bad-chunk", None, "", once_flowing(begun, says(b"zz\r\n")), "mid *", waits=True)
    yield Row("no-last-chunk", says(say.opened, chunk(good)), "broken", None, "")
    yield Row("closes-behind-the-end", None, "", once_flowing(begun, says(chunk(say.rest))), "ok")
    yield Row("half-a-gzip", say.body(gzip.compress(good)[:60], gzipped), "broken",
              say.body(gzip.compress(first)[:20], gzipped), "broken")


def _no_answers(say: Speaker) -> Iterator[Row]:
    yield say.both("empty", b"", "broken")
    yield Row("empty-stream", says(say.opened, END), "broken", says(say.opened, END), "broken")
    yield Row("silence-in-a-stream", None, "", say.stream(say.form.noise(9) * 9), "broken")
    yield say.both("page-200", _PAGE, "broken", HTML)
    yield say.both("page-403", _PAGE, "misconfigured", HTML, status="HTTP/1.1 403 Forbidden")
    yield say.both("page-502", _PAGE, "faulty", HTML, status="HTTP/1.1 502 Bad Gateway")
    yield say.both("not-json", b"\x00\xff\xfe garbage", "broken")
    yield say.both("empty-object", b"{}", "broken")
    yield say.both("null", b"null", "broken")
    yield Row("answers-the-other-way", say.stream(say.form.stream()), "broken",
              say.body(say.form.whole()), "ok")
    for status in (302, 307):
        yield Row(f"redirect-{status}", redirects(status), "misconfigured",
                  redirects(status), "misconfigured")


def _too_much(say: Speaker) -> Iterator[Row]:
    packed = head(CHUNKED, "content-encoding: deflate")
    long = pours(say.opened + chunk(b"data: "), chunk(b"{" * 2**18), 20, END)
    yield Row("beyond-64-mb", pours(say.opened, chunk(b" " * _MB), 66, END), "broken",
              pours(say.opened, chunk(say.form.noise(_MB)), 66, END), "broken")
    yield Row("a-bomb", says(packed, chunk(bomb(b" " * _MB)), END), "broken",
              says(packed, chunk(bomb(say.form.noise(_MB))), END), "broken")
    yield Row("a-line-beyond-4-mb", None, "", long, "broken")
    yield Row("a-header-bomb", says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000), "broken",
              says(sized(b"", "x: " + "y" * 200_000)), "broken")


def _waits(say: Speaker) -> Iterator[Row]:
    yield Row("hangs", hangs(), "timed_out", hangs(), "timed_out", waits=True)
    yield Row("hangs-in-the-body", hangs(sized(say.form.whole())[:-9]), "timed_out",
              hangs(say.opened), "timed_out", waits=True)
    yield Row("hangs-midway", None, "", hangs(say.begun), "mid timed_out", waits=True)
    murmur = murmurs(chunk(say.form.noise(9)))
    yield Row("murmurs-midway", None, "",
              once_flowing(say.begun, murmur), "mid timed_out", waits=True)
    yield Row("hangs-behind-the-end", None, "",
              once_flowing(say.begun, hangs(chunk(say.rest))), "ok", waits=True)


def _usages(say: Speaker) -> Iterator[Row]:
    prompt_told = (11, 3) if say.form.name == "anthropic" else (4, 3)
    yield say.usage("no-usage", None)
    for name, prompt, answer in (
        ("negative-usage", "-11", "-7"),
        ("absurd-usage", "11000000000000000", "7000000000000000"),
        ("fractional-usage", "1.5", "0.5"),
        ("usage-in-words", '"eleven"', '"seven"'),
        ("usage-of-nothing", "0", "0"),
        ("null-usage", "null", "null"),
    ):
        yield say.usage(name, (prompt, answer))
    for name, answer in (("negative-answer", "-7"), ("absurd-answer", "999999999999")):
        told = ("11", answer)
        yield Row(name, say.body(say.form.whole(told=told)), "ok", None, "", (4, 3))
        yield Row(name, None, "", say.stream(say.form.stream(told=told)), "ok", prompt_told)
    nan = ("11", "NaN")
    yield Row("nan", say.body(say.form.whole(told=nan)), "broken",
              say.then(say.form.flow(told=nan)[1]), "mid broken")
    text = '"17*23 \\u0000 = 391."'
    yield Row("a-nul-in-the-text", say.body(say.form.whole(text)), "ok",
              say.stream(say.form.stream(text)), "ok")
    marked = say.form.whole('"@@"')
    yield say.both("a-raw-nul", marked.replace(b"@@", b"\x00"), "broken")
    yield say.both("no-utf-8", marked.replace(b"@@", b"\xff\xfe"), "broken")


def _echoes(say: Speaker) -> Iterator[Row]:
    stack = ' Traceback (most recent call last):\n  File "/hidden/app.py", line 3, in hidden\n'
    yield say.echo("echo-401", str, "401 Unauthorized", "misconfigured")
    yield say.echo("echo-500", lambda words: words + stack, "500 Oops", "faulty")
    yield say.echo("echo-400", lambda words: f"bad request {words}", "400 Bad Request", "rejected")
    for before in (470, 485, 495):  # a message is cut somewhere: perhaps within the key
        pad = "x" * before
        yield say.echo(f"echo-cut-at-{before}", f"{pad} {{}}".format, "400 Bad Request", "rejected")
