"""The bytes that go out, and what must never be in them."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from gateway.core.errors import Unsuitable
from gateway.drivers.upstream.http_request import Origin, Post, PostBuilder
from gateway.wire.dialect import HttpCall


def joined(post: Post) -> bytes:
    return post if isinstance(post, bytes) else b"".join(post)


def posts(url: str = "https://api.example/v1", **headers: str) -> PostBuilder:
    return PostBuilder(Origin(url), headers)


def call(path: str = "/chat", headers: Mapping[str, str] | None = None) -> HttpCall:
    return HttpCall(path, headers or {}, b'{"a":1}')


def test_a_post() -> None:
    provider = posts(authorization="Bearer k")
    first = provider.build(call(headers={"accept": "application/json"}))
    assert first == (
        b"POST /v1/chat HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer k\r\n"
        b'accept: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}'
    )
    assert provider.build(call(headers={"accept": "application/json"})) == first
    flowing = provider.build(call(headers={"accept": "text/event-stream"}))
    assert flowing == joined(first).replace(b"application/json", b"text/event-stream")


@pytest.mark.parametrize("proof", [{}, {"x-signed": "s"}])
def test_a_large_one_goes_out_in_parts(proof: Mapping[str, str]) -> None:
    said = msgspec.Raw(b"[1,2]")
    content = (b'{"messages":', said, b"}")
    small = HttpCall("/chat", {"accept": "a"}, b"".join(content))
    large = HttpCall("/chat", {"accept": "a"}, content)
    assert large.body == small.body == b'{"messages":[1,2]}'
    post = posts().build(large, proof)
    assert joined(post) == posts().build(small, proof)
    assert [bytes(part) for part in post[1:]] == [*map(bytes, content)]


def test_calls_in_turn_have_each_its_own_head() -> None:
    headers = [{"accept": "a"}, {"accept": "b"}, {"accept": "a"}]
    calls = [call(path, each) for path in ("/x", "/y") for each in headers]
    provider = posts()
    for _ in range(2):
        for each in calls:
            alone = posts().build(each)
            assert [provider.build(each), provider.build(each)] == [alone, alone]
    with_slash = joined(posts().build(call("/", {})))
    assert posts().build(call("", {})) == with_slash.replace(b"/v1/ ", b"/v1 ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", (True, "a.example", 443, "", "a.example")),
        ("http://a.example/v1", (False, "a.example", 80, "/v1", "a.example")),
        ("https://A.Example:8443/x/y", (True, "a.example", 8443, "/x/y", "a.example:8443")),
        ("https://a.example:443/v1", (True, "a.example", 443, "/v1", "a.example")),
        ("http://a.example:443/v1", (False, "a.example", 443, "/v1", "a.example:443")),
        ("http://[::1]:8000/v1", (False, "::1", 8000, "/v1", "[::1]:8000")),
    ],
)
def test_where_a_url_points(url: str, expected: tuple[Any, ...]) -> None:
    origin = Origin(url)
    assert (origin.tls, origin.host, origin.port, origin.path, origin.host_header) == expected
    assert origin.key == expected[:3]


LINES = ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\x7fb", "\u2028", "€"]


@pytest.mark.parametrize("value", LINES)
def test_no_header_of_a_provider_ends_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="authorization") as caught:
        posts(authorization=value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", LINES)
def test_no_header_of_a_call_ends_its_line(value: str) -> None:
    with pytest.raises(Unsuitable):
        posts().build(call(headers={"anthropic-beta": value}))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é"])
def test_no_name_of_a_header_is_anything_else(name: str) -> None:
    with pytest.raises(Unsuitable):
        posts().build(call(headers={name: "x"}))


@pytest.mark.parametrize("path", ["", "/a b", "/a\r\nb", "/a HTTP/1.1\r\nx: y", "/é", "/a\0"])
def test_no_path_is_anything_else(path: str) -> None:
    with pytest.raises(Unsuitable):
        posts("https://a.example").build(call(path))


def test_clients_headers_do_not_fill_the_memory() -> None:
    provider = posts()
    for number in range(2000):
        sent = provider.build(call(headers={"anthropic-beta": str(number)}))
        assert b"anthropic-beta: %d\r\n" % number in joined(sent)
    assert len(provider._heads) <= 256
