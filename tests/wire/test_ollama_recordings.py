"""Every recorded exchange with Ollama's own API. There is no oracle: its own SDK reads JSON."""

import json
from typing import Any, Final

import pytest

from gateway.core.chat import Usage
from gateway.wire import ollama
from tests.folding import fold
from tests.recordings import Recording, cuts, recordings
from tests.wire.ollama_chats import TARGET, body, feed

RECORDED: Final = [each for each in recordings("ollama") if "/ollama-chat__" in each.file]
each_recording = pytest.mark.parametrize(
    "recording", RECORDED, ids=lambda recording: recording.file.split("__")[-1]
)


def said(recording: Recording) -> list[dict[str, Any]]:
    return [json.loads(line) for line in recording.body.splitlines()]


@each_recording
def test_an_answer_says_what_its_json_says(recording: Recording) -> None:
    told = said(recording)
    last = told[-1]
    text = "".join(line["message"]["content"] for line in told)
    usage = None
    if "prompt_eval_count" in last:
        usage = Usage(last["prompt_eval_count"], last["eval_count"])
    if recording.streamed:
        choices, counted = fold(feed([recording.body]))
        assert (choices[0].text, choices[0].finishes, counted) == (text, ["stop"], usage)
    else:
        answer = ollama.decode(200, recording.headers, recording.body, TARGET)
        assert (answer.first.text, answer.first.finish, answer.usage) == (text, "stop", usage)
        assert answer.created > 1_700_000_000


@each_recording
def test_a_stream_cut_anywhere_gives_the_same_deltas(recording: Recording) -> None:
    body = b"".join(line + b"\n" for line in recording.body.splitlines())  # also of a whole answer
    whole = feed([body])
    for number, pieces in enumerate(cuts(body)):
        assert feed(pieces) == whole, f"cut {number}"


def test_all_were_read() -> None:
    streamed = [each for each in RECORDED if each.streamed]
    uncounted = [each for each in RECORDED if "prompt_eval_count" not in said(each)[-1]]
    assert (len(RECORDED), len(streamed), len(uncounted)) == (8, 4, 1)


def test_a_recorded_history_is_said_again() -> None:
    """The one with a call in it, from what an OpenAI client would have sent."""
    (recorded,) = [each for each in RECORDED if "tool-result" in each.tags]
    sent = recorded.request["body"]
    arguments = json.dumps(sent["messages"][0]["tool_calls"][0]["function"]["arguments"])
    function = {"name": "get_current_weather", "arguments": arguments}
    made = body(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": sent["messages"][1]["content"]},
    )
    called, result = made["messages"]
    assert result.pop("tool_name") == "get_current_weather"
    assert result.pop("tool_call_id") == called["tool_calls"][0].pop("id") == "c1"
    assert [called, result] == sent["messages"]
    assert made["stream"] is sent["stream"] is False


@each_recording
def test_a_recorded_request_is_said_again(recording: Recording) -> None:
    sent = recording.request["body"]
    if "tool-result" in recording.tags:
        return
    made = body(*sent["messages"], stream=sent["stream"])
    assert made == {
        "model": "llama3",
        "messages": sent["messages"],
        "stream": sent["stream"],
        "options": {"num_predict": 100},
    }
