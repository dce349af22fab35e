"""What is read of a body whose shape is known is what is read of it anyway."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.chat import NO_EXTRAS, ChatRequest
from gateway.core.errors import InvalidRequest
from gateway.core.features import read_features
from gateway.web import shapes as limits
from gateway.web.parse import read_again, read_request
from gateway.web.shapes import Shapes
from gateway.wire.dialect import Target
from gateway.wire.openai.request import encode

USER = b'[{"role":"user","content":"hi"}]'
TOOL = b'[{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"]}"}]}]'
OTHERS = [  # what may stand where messages stood
    USER,
    TOOL,
    b' [ {"role":"user" , "content" : "\xc3\xa9 \\u00e9 \\"messages\\": [" } ]\n',
    b'[{"role":"user","content":"],\\"model\\":\\"b\\"}"}]',
    b'[{"role":"assistant","content":null,"tool_calls":[{"id":"c"}]},{"role":"tool"}]',
    b'[{"role":"user","content":"\xff"}]',
    b'[{"role":"user","content":"\\ud800"}]',
    b'[{"role":"user","content":"a\nb"}]',
    b'[{"role":"user","content":1e999}]',
    b'[{"role":"bogus","content":"hi"}]',
    b'[{"role":"user","content":5}]',
    b'[{"role":["user"],"content":"hi"}]',
    b'[{"role":"user"},{"content":"hi"}]',
    b'[{"role":"user","role":"system","content":"hi"}]',
    b'[{"role":"user","content":' + b"[" * 70 + b"]" * 70 + b',"content":"hi"}]',
    b'[{"role":"user","content":"hi"}],"messages":[{"role":"user","content":"ho"}]',
    b'[{"role":"user","content":"hi"}],"model":"b","x":[]',
    b'[{"role":"user","content":"hi"}]}',
    b'[{"role":"user","content":"hi"}',
    b'{"role":"user"}]',
    b"[]",
    b"[5]",
    b"null",
    b"]",
    b"",
    b'[{"role":"user","content":"' + b"[" * 70 + b'"}]',
    b"[" + b",".join([b'{"role":"user","content":[{"a":"{"}]}'] * 70) + b"]",
]
AROUND = [  # bodies, with a place for the messages
    b'{"messages":%b}',
    b'{"messages":%b,"model":"a"}',
    b'{"model":"a","messages":%b}',
    b'{"model": "a", "messages": %b, "stream": true}\n',
    b'{\n "model" : "a",\n "messages" : %b\n}',
    b'{"model":"a","mess\\u0061ges":%b}',
    b'{"model":"a","x\\"messages":1,"messages":%b}',
    b'{"model":"a","messages":[{"role":"user","content":"first"}],"messages":%b}',
    b'{"mess\\u0061ges":[5],"messages":%b,"model":"a"}',
    b'{"mess\\u0061ges":[{"role":"user"}],"messages":%b,"model":"a"}',
    b'{"messages here":1,"messages":%b,"model":"a"}',
    b'{"messages":%b,"model":"a","mess\\u0061ges":[{"role":"user","content":"hi"}]}',
    b'{"metadata":{"messages":[{"role":"user","content":"hi"}]},"messages":%b,"model":"a"}',
    b'{"metadata":{"messages":%b},"model":"a","messages":[{"role":"user","content":"hi"}]}',
    b'{"model":"a","messages":%b,"metadata":{"x":[1],"model":"b"},"tools":[{}],"n":2}',
    b'{"model":"a","mod\\u0065l":"b","messages":%b,"max_tokens":7,"model":"c"}',
    b'{"model":"a","messages":%b,"gateway":{"region":"eu","tags":{"a":"b"}},"user":"me"}',
    b'{"model":"a","api_key":"sk-1","messages":%b}',
    b'{"model":"a","user":"sk-abcdefghijklmnopqrstuvwxyz012345","messages":%b}',
    b'{"model":"a","stop":"\\"messages\\":","messages":%b,"x":"],\\"model\\":"}',
    b'{"model":"a","stop":"\\\\","messages":%b,"seed":1,"response_format":{"type":"json_schema"}}',
    b'{"model":"a","messages":%b,"x":' + b"[" * 63 + b"]" * 63 + b"}",
    b'{"model":"a","messages":%b,"x":' + b"[" * 64 + b"]" * 64 + b"}",
    b'{"model":"a","messages":%b,"n":0}',
    b'{"model":"a","messages":%b,"x":"\xff"}',
    b'{"model":"a","messages":%b,}',
]
HEADERS: list[dict[str, str]] = [{}, {"region": "us"}, {"max-latency-ms": "soon"}]

Read = ChatRequest | tuple[str | None, str]


def read(
    body: bytes, headers: Mapping[str, str], shapes: Shapes | None = None, depth: int = 64
) -> Read:
    try:
        request = read_request(body, headers, depth, shapes)
    except InvalidRequest as error:
        return error.param, str(error)
    return structs.replace(request, shape=None)


def told(found: Read) -> Any:
    """As values that can be compared."""
    if isinstance(found, tuple):
        return found
    fields = [(name, bytes(raw)) for name, raw in found.fields.items()]
    return fields, structs.replace(found, fields={})


def trained(*bodies: bytes) -> Shapes:
    shapes = Shapes()
    for body in [*bodies, *bodies]:
        read(body, {}, shapes)
    return shapes


@pytest.mark.parametrize("around", AROUND, ids=str)
@pytest.mark.parametrize("first", [USER, TOOL], ids=["plain", "not plain"])
def test_known_or_not_the_same_is_read(around: bytes, first: bytes) -> None:
    shapes = trained(around % first)
    for messages in OTHERS:
        body = around % messages
        for headers in HEADERS:
            expected = told(read(body, headers))
            assert told(read(body, headers, shapes)) == expected, (messages, headers)


def test_all_shapes_together_are_not_taken_for_each_other() -> None:
    shapes = trained(*(around % USER for around in AROUND))
    for around in AROUND:
        for messages in OTHERS:
            body = around % messages
            assert told(read(body, {}, shapes)) == told(read(body, {})), body


CALL = b'{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
CALLS = b'[{"role":"assistant","tool_calls":[%b]}]' % CALL


@pytest.mark.parametrize("depth", range(1, 9))
@pytest.mark.parametrize("around", [b'{"model":"a","messages":%b}', b'{"messages":%b,"model":"a"}'])
def test_however_deep_it_may_nest(around: bytes, depth: int) -> None:
    shapes = trained(around % USER)
    for messages in (USER, TOOL, CALLS, *OTHERS):
        body = around % messages
        assert told(read(body, {}, shapes, depth)) == told(read(body, {}, depth=depth))


@pytest.mark.parametrize(
    "each",
    [b'{"role":"user"}', b'{"role":"user","content":"%b"}' % (b"[{" * 9), CALLS[1:-1], TOOL[1:-1]],
)
@pytest.mark.parametrize("count", [50, 9_000, 34_500, 50_000, 99_998, 99_999])
def test_however_much_there_is(each: bytes, count: int) -> None:
    around = b'{"messages":%b,"model":"a"}'
    body = around % (b"[" + b",".join([each] * count) + b"]")
    assert told(read(body, {}, trained(around % USER))) == told(read(body, {}))


PIECES = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b",", b":", b" ", b"\\", b'"', b"0"),
        *(b'"messages":', b'"messages" :', b'"mess\\u0061ges":', b'"model":"a"', b'"model":"b"'),
        *(b'"x":', b'\\"', b'],"model":', USER, USER, b'"metadata":{', b'"messages":[]', b"null"),
    ]
)


@given(
    st.lists(PIECES, max_size=6),
    st.lists(PIECES, max_size=6),
    st.lists(PIECES, max_size=6).map(b"".join) | st.sampled_from(OTHERS),
)
@example([b'"x":', USER, b","], [], USER)
def test_whatever_stands_around_the_same_is_read(
    before: list[bytes], behind: list[bytes], messages: bytes
) -> None:
    around = (b'{"model":"a",' + b"".join(before), b"".join(behind) + b"}")
    for name in (b'"messages":', b""):
        one, other = (b"%b%b%b%b" % (around[0], name, m, around[1]) for m in (USER, messages))
        shapes = trained(one)
        assert told(read(other, {}, shapes)) == told(read(other, {}))


@given(st.sampled_from(AROUND), st.sampled_from(OTHERS), st.binary(max_size=3), st.integers(0, 99))
def test_any_bytes_are_read_the_same(around: bytes, messages: bytes, noise: bytes, at: int) -> None:
    shapes = trained(around % USER)
    body = around % messages
    body = body[:at] + noise + body[at + len(noise) :]
    assert told(read(body, {}, shapes)) == told(read(body, {}))


# What is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("around", "kept"),
    [
        (b'{"messages":%b,"model":"a"}', True),
        (b'{"model": "a", "messages": %b, "stream": true}\n', True),
        (b'{"model":"a","messages":%b,"gateway":{"region":"eu"},"user":"me"}', True),
        (b'{"model":"a","x":{"messages\\"":1},"messages":%b,"tools":[{}]}', True),
        (b'{"model":"a","messages" :%b}', False),
        (b'{"model":"a","mess\\u0061ges":%b}', False),
        (b'{"model":"a","x":{"messages":%b},"messages":%b}', False),
        (b'{"model":"a","messages":%b,"messages":%b}', False),
        (b'{"model":"a","mess\\u0061ges":[],"messages":%b}', False),
        (b'{"model":"a","api_key":"sk-1","messages":%b}', False),
        (b'{"model":"a","user":"sk-abcdefghijklmnopqrstuvwxyz012345","messages":%b}', False),
        (b'{"model":"a","messages":%b,"x":"' + b"x" * limits.LONGEST + b'"}', False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_which_shapes_are_kept(around: bytes, kept: bool) -> None:
    body = around.replace(b"%b", USER)
    shapes = trained(body)
    assert (read_request(body, {}, 64, shapes).shape is not None) is kept
    assert (shapes.find(body) is not None) is kept


@pytest.mark.parametrize("other", [b'"messages": %b', b'"messages":\n\t%b'], ids=["blank", "line"])
def test_one_shape_in_two_spellings_is_known_in_both(other: bytes) -> None:
    first = b'{"model":"a","tools":[],"messages":%b,"n":1}'
    bodies = [around % USER for around in (first, first.replace(b'"messages":%b', other))]
    shapes = trained(*bodies)
    for body in bodies:
        known = shapes.find(body)
        assert known is not None
        assert read_again(known, NO_EXTRAS, body, 64) is not None


def test_whoever_remembers_a_shape_may_ask_it_of_any_body() -> None:
    shapes = [trained(around % USER).find(around % USER) for around in AROUND]
    kept = [known for known in shapes if known is not None]
    assert len(kept) > len(AROUND) / 3
    for known in kept:
        for around in AROUND:
            for messages in OTHERS:
                body = around % messages
                found = read_again(known, NO_EXTRAS, body, 64)
                if found is not None:
                    whole = read_request(body, {}, 64)
                    same = structs.replace(whole, extras=NO_EXTRAS, shape=known.request.shape)
                    assert told(found) == told(same), body
        ends = known.begins + known.ends
        for cut in range(len(ends)):
            for body in (ends[cut:], ends[:cut]):
                assert read_again(known, NO_EXTRAS, body, 64) is None, body


def test_a_shape_that_never_comes_again_is_not_kept() -> None:
    shapes = Shapes()
    bodies = [b'{"model":"a","seed":%d,"messages":%b}' % (seed, USER) for seed in range(3)]
    for body in [*bodies, bodies[0]]:
        assert shapes.find(body) is None
        read(body, {}, shapes)
    assert [shapes.find(body) is not None for body in bodies] == [True, False, False]


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (lambda at: b'{"model":"a","messages":%b,"seed":%d}' % (USER, at), 3),
        (lambda at: b'{"model":"a","seed":%d,"messages":%b}' % (at, USER), 3),
        (lambda at: b'{"model":"a","messages":%b,"f%d":0}' % (USER, at), 2),
    ],
    ids=["one beginning", "many", "many names"],
)
@pytest.mark.parametrize("bound", ["_MOST", "_MOST_BYTES", "_MOST_ONCE"])
def test_what_is_kept_is_bounded(
    body: Callable[[int], bytes], most: int, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"_MOST": 3, "_MOST_BYTES": 3 * (len(body(9)) - len(USER)), "_MOST_ONCE": 1}
    monkeypatch.setattr(limits, bound, few[bound])
    monkeypatch.setattr(limits, "_MOST_NAMES", 2)
    shapes, bodies = Shapes(), [body(at) for at in range(9)]
    for each in bodies:
        for _ in range(2):
            read(each, {}, shapes)
        found = [each for each in bodies if shapes.find(each)]
        assert len(found) <= most or bound == "_MOST_ONCE", found
        assert all(told(read(each, {}, shapes)) == told(read(each, {})) for each in found)
    assert shapes.find(bodies[0]) is None or most == 2 or bound == "_MOST_ONCE"


# What becomes of it --------------------------------------------------------------------------

TARGETS = [
    Target("up", 9),
    Target("up", 9, frozenset({"max_tokens", "no_stream_usage", "random_seed"})),
    Target("up", 9, frozenset({"no_developer_role", "no_user_after_tool"})),
    Target("up", 8, api_version="v"),
]
SENT = [
    b'{"model":"a","messages":%b}',
    b'{"messages":%b, "model":"a","max_tokens":7,"seed":1,"stream_options":{"x":1}}',
    b'{"model":"a","stream":true,"tools":[{"cache_control":{"ttl":"1h"}}],"messages":%b}',
    b'{"model":"a","messages":%b,"service_tier":"priority","max_completion_tokens":8,"headers":{}}',
    b'{"model":"a","messages":%b,"response_format":{"type":"json_schema"},"n":2,"x":"\\u0061"}',
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("around", SENT, ids=str)
def test_the_same_is_sent_and_the_same_is_planned(around: bytes, stream: bool) -> None:
    shapes = trained(around % USER)
    for messages in (USER, TOOL, b' [{"role":"developer","content":"\\u00e9"}]'):
        body = around % messages
        known, whole = (read_request(body, {}, 64, each) for each in (shapes, None))
        assert read_features(known) == read_features(whole)
        for target in [*TARGETS, *TARGETS]:
            one, other = (encode(each, target, stream=stream) for each in (known, whole))
            assert one == other
