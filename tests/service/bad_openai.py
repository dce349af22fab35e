"""The rest of the table: what only the openai format, or the bedrock format, can get wrong."""

import struct
from collections.abc import Iterator
from zlib import crc32

from tests.service.bad_answers import JSON, Row, Speaker
from tests.service.fault_upstream import (
    END,
    chunk,
    half_closes,
    once_flowing,
    pours,
    resets,
    says,
    sized,
)
from tests.service.good_answers import BEDROCK, OPENAI, called, finished, piece, sse

_MANY = 2**31 - 1


# fmt: off
def openai_alone() -> Iterator[Row]:
    say = Speaker(OPENAI)
    good, flow = OPENAI.whole(), OPENAI.stream()
    told = OPENAI.flow()[1]
    yield Row("early-hints", says(b"HTTP/1.1 100 Continue\r\n\r\n", sized(good)), "ok",
              says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", sized(flow)), "ok")
    yield Row("another-protocol", says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), "broken",
              says(b"HTTP/2 200\r\n\r\n"), "broken")
    yield Row("two-answers-in-one", says(sized(good) * 2), "ok", says(sized(flow) * 2), "ok")
    yield Row("half-closed-when-whole", half_closes(sized(good)), "ok",
              half_closes(sized(flow)), "ok")
    yield Row("half-closed-at-once", half_closes(), "reset", half_closes(), "reset")
    yield Row("a-nul-in-a-header", says(sized(good, "x: \x00")), "broken",
              says(sized(flow, "x: \x00")), "broken")
    yield Row("two-lengths", says(sized(good, "content-length: 3")), "broken",
              says(sized(flow, "content-length: 3")), "broken")
    yield Row("the-wrong-content-type", says(sized(good, "content-type: text/html")), "ok",
              says(sized(flow, "content-type: text/html")), "ok")
    big = piece('"%s"' % ("x" * 2**20)).encode()
    yield Row("a-flow-beyond-64-mb", None, "",
              once_flowing(say.begun, pours(b"", chunk(b"data: " + big + b"\n\n"), 66, END)),
              "mid broken", paid=(4, 2_048))  # its limit
    yield Row("a-line-beyond-4-mb-midway", None, "",
              once_flowing(say.begun, pours(chunk(b"data: "), chunk(b"{" * 2**18), 20, END)),
              "mid broken")
    yield Row("reset-in-the-head", resets(b"HTTP/1.1 200 OK\r\nx: "), "reset",
              resets(b"HTTP/1.1 200 OK\r\nx: "), "reset")
    twice = good.replace(b'"created":1', b'"created":1,"id":"c2","created":2')
    yield Row("keys-twice", say.body(twice), "ok",
              say.stream(flow.replace(b'"created":1', b'"created":1,"created":1')), "ok")
    deep = b'{"a":' * 100_000
    yield say.both("a-deep-object", deep, "broken")
    yield Row("a-deep-object-midway", None, "", say.then(b"data: " + deep + b"\n\n"), "mid broken")
    for name, index in (("huge", _MANY), ("absurd", 10**30), ("negative", -1)):
        moved = b'"index":%d' % index
        yield Row(f"a-{name}-index", say.body(good.replace(b'"index":0', moved)), "broken",
                  None, "", (11, 7))
        yield Row(f"a-{name}-index", None, "",
                  say.stream(flow.replace(b'"index":0', moved)), "broken")
        call = f'{{"index":{index},"id":"t","type":"function","function":{{"name":"f"}}}}'
        yield Row(f"a-{name}-call-index", None, "",
                  say.stream(sse(called(0, call), piece('"391"')) + told), "broken")
    both = sse(piece('"3"'), piece('"391"', 1), piece('"91"'), finished(1))
    yield Row("interleaved-choices", None, "", say.stream(both + told), "ok")
    yield Row("no-choices", say.body(b'{"choices":[]}'), "broken",
              say.stream(b'data: {"choices":[]}\n\ndata: [DONE]\n\n'), "broken")
    yield Row("choices-of-another-kind", say.body(b'{"choices":"many"}'), "broken",
              say.stream(b'data: {"choices":7}\n\n'), "broken")
    yield Row("an-error-in-a-200", say.body(OPENAI.error("overloaded"), JSON), "overloaded",
              say.stream(OPENAI.error_inside("overloaded")), "overloaded")
    for name, answered, paid in (("counts", 7, (11, 7)), ("absurd-counts", 10**8, (0, 0))):
        told = f',"usage":{{"prompt_tokens":11,"completion_tokens":{answered}}}}}'.encode()
        failed = OPENAI.error("overloaded")[:-1] + told
        yield Row(f"an-error-with-{name}", say.body(failed, JSON), "overloaded",
                  say.stream(b"data: " + failed + b"\n\n"), "overloaded", paid)
    yield Row("an-error-after-a-piece", None, "",
              say.then(OPENAI.error_inside("overloaded")), "mid overloaded")


def bedrock_alone() -> Iterator[Row]:
    say = Speaker(BEDROCK)
    summed = bytearray(say.rest)
    summed[-1] ^= 1
    lengths = struct.pack(">II", 2**25, 16)
    over = lengths + struct.pack(">I", crc32(lengths)) + b"x" * 100
    for name, data in (
        ("a-wrong-sum", bytes(summed[:1] + b"\xff" + summed[2:])),
        ("an-oversize-frame", over),
        ("a-cut-frame", say.rest[:20]),
    ):
        yield Row(f"{name}-midway", None, "", say.then(data), "mid broken")
    yield Row("a-wrong-sum", None, "", say.stream(say.first[:-1] + b"\xff"), "broken")
    yield Row("an-oversize-frame", None, "", say.stream(over), "broken")
