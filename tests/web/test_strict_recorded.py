"""Every recorded answer of every provider as our clients get it: whole, flowing and recut."""

from typing import Final

import pytest

from gateway.core.chat import ChoiceDelta, Completion, Delta, Usage
from gateway.core.errors import UpstreamError
from gateway.web.render import completion_body, error_body
from gateway.web.render_stream import DONE, KEEP_ALIVE, ChunkWriter, error_event
from tests import oracle
from tests.folding import fold
from tests.recordings import Recording
from tests.web.strict import MODEL, lawful_error, lawful_stream, lawful_whole, spoken

EXTENSION: Final = b'{"cost_usd":0.0001,"attempts":[]}'
COUNTED: Final = Usage(10, 4, 3, 2, 1)
"""Our own count, where a provider told none."""


def writer() -> ChunkWriter:
    return ChunkWriter(MODEL, request_id="r1", created=7)


def flowing(deltas: list[Delta], usage: Usage | None) -> bytes:
    """The events of a stream; None is a client that did not ask for usage."""
    chunks = writer()
    body = b"".join(chunks.delta(delta) for delta in deltas) + KEEP_ALIVE
    return body + (chunks.usage(usage, EXTENSION) if usage else b"") + DONE


def recut(completion: Completion, usage: Usage | None) -> bytes:
    chunks = writer()
    body = KEEP_ALIVE + b"".join(chunks.recut(completion))
    return body + (chunks.usage(usage, EXTENSION) if usage else b"") + DONE


def whole(name: str, answer: Completion) -> None:
    usage = answer.usage or COUNTED
    body = completion_body(answer, MODEL, EXTENSION, usage=usage, request_id="r1", created=7)
    value = lawful_whole(name, body)
    said = [choice["message"]["content"] for choice in value["choices"]]
    assert said == [choice.text for choice in answer.choices], name
    assert value["usage"]["completion_tokens"] == usage.completion, name
    others = value.keys() - {"id", "object", "created", "model", "choices", "usage", "metadata"}
    for asked in (usage, None):
        chunks = lawful_stream(name, recut(answer, asked), usage=asked is not None)
        last = [chunk for chunk in chunks if chunk["choices"]][-1]
        assert {field: last.get(field) for field in others} == {f: value[f] for f in others}, name
        for choice, told in zip(answer.choices, value["choices"], strict=True):
            assert spoken(chunks, choice.index) == (choice.text or ""), name
            assert spoken(chunks, choice.index, "reasoning_content") == (choice.reasoning or "")
            extra = [c["delta"] for chunk in chunks for c in chunk["choices"]]
            known = {field for delta in extra for field in delta}
            assert choice.extra.keys() <= known, f"{name}: a recut answer loses nothing"
            assert choice.finish == told["finish_reason"], name


def stream(name: str, deltas: list[Delta]) -> None:
    folded, usage = fold(deltas)
    for asked in (usage or COUNTED, None):
        chunks = lawful_stream(name, flowing(deltas, asked), usage=asked is not None)
        for index, choice in folded.items():
            assert spoken(chunks, index) == choice.text, name
            told = [
                call["function"].get("arguments", "")
                for chunk in chunks
                for each in chunk["choices"]
                if each["index"] == index
                for call in each["delta"].get("tool_calls", ())
            ]
            calls = [choice.calls[at].arguments for at in choice.calls]
            assert len("".join(told)) == len("".join(calls)), name


def broken(recording: Recording) -> None:
    """An error, as the answer to a request and as the end of a stream that had begun."""
    name = recording.file
    with pytest.raises(UpstreamError) as caught:
        oracle.understood(recording)
    error = caught.value
    lawful_error(name, error_body(error))
    chunks = writer()
    body = chunks.delta(Delta((ChoiceDelta(0, "a"),))) + error_event(error)
    lawful_stream(name, body, whole=False)


@pytest.mark.parametrize("provider", oracle.PROVIDERS)
def test_every_recorded_answer_is_lawful(provider: str) -> None:
    for recording in oracle.exchanges(provider):
        if oracle.failed(recording):
            broken(recording)
        elif oracle.streamed(recording):
            stream(recording.file, oracle.deltas(recording, [recording.body]))
        else:
            whole(recording.file, oracle.completion(recording))
