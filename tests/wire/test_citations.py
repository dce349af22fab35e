"""Pages that an answer cites are OpenAI's annotations, at the characters that rest on them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from gateway.wire import DIALECTS
from gateway.wire.dialect import Target
from gateway.wire.openai import strict
from tests import oracle
from tests.folding import fold
from tests.recordings import Recording
from tests.wire import anthropic_streams as claude
from tests.wire import bedrock_streams as converse

JSON = dict[str, Any]

TARGET: Final = Target("m", 100)
TITLE: Final = "A page"
URL: Final = "https://example.com/a"


def pages(extra: Mapping[str, Raw]) -> list[tuple[int, int, str, str]]:
    """The annotations of a message, which are strictly OpenAI's."""
    told = msgspec.json.decode(
        bytes(extra.get("annotations", Raw(b"[]"))), type=list[strict.Annotation]
    )
    of = [each.url_citation for each in told]
    return [(each.start_index, each.end_index, each.title, each.url) for each in of]


def whole(dialect: str, body: JSON) -> tuple[str, list[tuple[int, int, str, str]]]:
    said = json.dumps(body, ensure_ascii=False).encode()
    first = DIALECTS[dialect].decode(200, {}, said, TARGET).first
    return first.text or "", pages(first.extra)


def streamed(dialect: str, pieces: Iterable[bytes]) -> tuple[str, list[tuple[int, int, str, str]]]:
    decoder = DIALECTS[dialect].decoder(TARGET)
    deltas = [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.finish()
    told = [pages(choice.extra) for delta in deltas for choice in delta.choices]
    return fold(deltas)[0][0].text, [page for each in told for page in each]


# ---- Made up


def located(**more: Any) -> JSON:
    return {"type": "web_search_result_location", "url": URL, "title": TITLE, **more}


CLAUDE: Final[list[tuple[list[tuple[str, list[JSON]]], list[tuple[int, int, str, str]]]]] = [
    # blocks of text with their citations, and the annotations
    ([("Hä? ", []), ("Sunny 🌞.", [located()]), (" Bye", [])], [(4, 12, TITLE, URL)]),
    ([("One", [located(), located(title=None)])], [(0, 3, TITLE, URL), (0, 3, URL, URL)]),
    ([("One", [{"type": "char_location", "document_title": "D"}])], []),
    ([("One", [located(url="file:///etc/passwd"), located(url=5)])], []),
]


@pytest.mark.parametrize(("blocks", "told"), CLAUDE)
def test_claude(
    blocks: list[tuple[str, list[JSON]]], told: list[tuple[int, int, str, str]]
) -> None:
    text = "".join(said for said, _ in blocks)
    content = [{"type": "text", "text": said, "citations": found} for said, found in blocks]
    body = {"type": "message", "content": content, "stop_reason": "end_turn"}
    assert whole("anthropic", body) == (text, told)
    events = [claude.start()]
    for at, (said, found) in enumerate(blocks):
        events.append(claude.begin(at, type="text", text=""))
        events += [claude.add(at, "citations_delta", citation=each) for each in found]
        events += [claude.add(at, "text_delta", text=each) for each in said]
        events.append(claude.end(at))
    assert streamed("anthropic", [claude.sse(*events, claude.stop())]) == (text, told)


CONVERSE: Final[list[tuple[JSON, list[tuple[int, int, str, str]]]]] = [
    ({"title": TITLE, "location": {"web": {"url": URL}}}, [(4, 9, TITLE, URL)]),
    ({"title": TITLE, "location": {"documentChar": {"start": 1}}}, []),
    ({"title": TITLE, "location": [{"web": 5}]}, []),
    ({"title": TITLE}, []),
]


@pytest.mark.parametrize(("citation", "told"), CONVERSE)
def test_bedrock(citation: JSON, told: list[tuple[int, int, str, str]]) -> None:
    cited = {"citationsContent": {"content": [{"text": "Sunny"}], "citations": [citation]}}
    body = {"output": {"message": {"content": [{"text": "Hä? "}, cited]}}, "stopReason": "end_turn"}
    assert whole("bedrock", body) == ("Hä? Sunny", told)
    events = converse.text(0, "Hä", "? ") + converse.add(1, text="Sunny")
    events += converse.add(1, citation=citation) + converse.end(1) + converse.stop()
    assert streamed("bedrock", [events]) == ("Hä? Sunny", told)


def segment(start: int, end: int, **more: Any) -> JSON:
    return {"startIndex": start, "endIndex": end, **more}


GEMINI: Final[list[tuple[JSON, list[tuple[int, int]]]]] = [
    # a segment of "Hä? Sunny 🌞." in bytes, and its places in characters
    (segment(5, 15), [(4, 11)]),
    (segment(5, 15, text="Sunny 🌞"), [(4, 11)]),
    (segment(0, 3, text="Sunny"), [(4, 9)]),  # counted from another part
    (segment(0, 3, text="Rainy"), []),
    (segment(2, 9), []),  # within a character
    (segment(0, 0), []),
    (segment(5, 10**12), [(4, 12)]),
    (segment(-5, 2), []),
]


@pytest.mark.parametrize("way", ["whole", "streamed"])
@pytest.mark.parametrize(("found", "places"), GEMINI)
def test_gemini(found: JSON, places: list[tuple[int, int]], way: str) -> None:
    metadata = {
        "groundingChunks": [{"web": {"uri": URL, "title": TITLE}}, {"web": {}}],
        "groundingSupports": [{"segment": found, "groundingChunkIndices": [0, 1, 7, -1]}],
    }
    parts = [{"text": "Hm.", "thought": True}, {"text": "Hä? "}, {"text": "Sunny 🌞."}]
    last = {"finishReason": "STOP", "groundingMetadata": metadata}
    told = [(start, end, TITLE, URL) for start, end in places]
    if way == "whole":
        body = {"candidates": [{"content": {"parts": parts}, **last}]}
        assert whole("gemini", body) == ("Hä? Sunny 🌞.", told)
    else:
        pieces: list[JSON] = [{"content": {"parts": [part]}} for part in parts]
        events = [json.dumps({"candidates": [each]}) for each in [*pieces, last]]
        body_ = "".join(f"data: {each}\n\n" for each in events).encode()
        assert streamed("gemini", [body_]) == ("Hä? Sunny 🌞.", told)


@pytest.mark.parametrize("metadata", [[], 5, {"groundingSupports": 5}, {"groundingChunks": [5]}])
def test_grounding_of_no_shape_is_no_fault(metadata: Any) -> None:
    candidate = {"content": {"parts": [{"text": "Hi"}]}, "groundingMetadata": metadata}
    assert whole("gemini", {"candidates": [{**candidate, "finishReason": "STOP"}]}) == ("Hi", [])


# ---- Recorded

RECORDED: Final = [
    recording
    for provider in ("anthropic", "gemini", "vertex")
    for recording in oracle.exchanges(provider)
    if b"web_search_result_location" in recording.body or b"groundingSupports" in recording.body
]


@pytest.mark.parametrize("recording", RECORDED, ids=lambda each: str(each.file))
def test_recorded_citations_stand_where_their_words_do(recording: Recording) -> None:
    dialect = oracle.dialect(recording)
    assert dialect is not None
    if oracle.streamed(recording):
        decoder = dialect.decoder(TARGET)
        deltas = decoder.feed(recording.body) + decoder.finish()
        text = fold(deltas)[0][0].text
        extra = {k: v for delta in deltas for each in delta.choices for k, v in each.extra.items()}
    else:
        first = dialect.decode(200, {}, recording.body, TARGET).first
        text, extra = first.text or "", dict(first.extra)
    found = pages(extra)
    words = [text[start:end] for start, end, _, _ in found]
    assert all(words), "an annotation of nothing"
    if "citations" in extra:
        assert [url for _, _, _, url in found] == [
            each["url"] for each in json.loads(bytes(extra["citations"]))
        ]
        return
    google = json.loads(bytes(extra["extra_content"]))["google"]["grounding_metadata"]
    chunks = google["groundingChunks"]
    assert words == [
        support["segment"]["text"]
        for support in google["groundingSupports"]
        for index in support["groundingChunkIndices"]
        if "uri" in next(iter(chunks[index].values()))
    ]
