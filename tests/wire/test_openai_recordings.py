"""Recorded exchanges of the OpenAI format, beside what test_every_provider asks of all formats."""

from msgspec import UNSET

from gateway.wire import openai
from tests import oracle

ANSWERS = [
    each for each in oracle.exchanges("openai") if oracle.compared(each) and not oracle.failed(each)
]


def test_openais_own_answers_are_relayed() -> None:
    """Whole ones all; of the streams, all chunks but those that tell usage, and two others."""
    rebuilt = [
        delta
        for recording in ANSWERS
        if recording.streamed
        for delta in oracle.deltas(recording, [recording.body])
        if delta.raw is None and delta.usage is None
    ]
    assert len(ANSWERS) == 56
    assert len(rebuilt) == 2
    for recording in ANSWERS:
        if not recording.streamed:
            whole = openai.decode(200, recording.headers, recording.body, oracle.TARGET)
            assert whole.raw is not UNSET, recording.file
