"""What checks remember of a request's messages: not these themselves, which may be large."""

import tracemalloc

from gateway.core.checks.conversation import Remembered
from tests.core.checked import request, whys

ASKED = "What is the capital of the country that is to the west of it, and how big is this?"
CITED = '"The capital of that country is a large one"'


def test_the_same_messages_are_read_once_and_the_oldest_are_forgotten() -> None:
    read: list[bytes] = []

    def measure(messages: bytes) -> int:
        read.append(messages)
        return len(messages)

    size = Remembered(measure, 2)
    assert [size(messages) for messages in (b"a", b"bb", b"a", b"ccc", b"bb", b"a")] == [
        1, 2, 1, 3, 2, 1,
    ]  # fmt: skip
    assert read == [b"a", b"bb", b"ccc", b"a"]


def test_an_image_that_was_asked_about_is_not_kept() -> None:
    whys("language", ASKED)
    tracemalloc.start()
    try:
        for number in range(4):
            url = {"url": f"data:image/png;base64,{number}{'A' * 2_000_000}"}
            parts = [{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": url}]
            asked = request(messages=[{"role": "user", "content": parts}])
            assert whys("language", ASKED, asked) == []
            assert whys("cites_context", CITED, asked) != []
            del url, parts, asked
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
