"""Recorded requests in OpenAI's format, in at our door and out again by the shipped stanzas.

Two bodies mean the same when they are the same after `plain`: the output limit has one name, or is
ours where the client set none; not to stream is not said; the usage of a stream is always asked
for. Everything else must be equal as JSON, and every message to the byte.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import pytest
import yaml

from gateway.core.errors import InvalidRequest
from gateway.web.parse import read_request
from gateway.wire import openai
from gateway.wire.dialect import HttpCall, Target
from gateway.wire.openai.messages import FOREIGN_FIELDS
from gateway.wire.unsupported import is_requested, without_fields
from tests import oracle
from tests.recordings import Recording

JSON = dict[str, Any]

SHIPPED: Final = Path(__file__).resolve().parents[2] / "config" / "providers.yaml"
STANZAS: Final[Mapping[str, JSON]] = yaml.safe_load(SHIPPED.read_text("utf-8"))["providers"]
RECORDED: Final = [
    each
    for provider in oracle.PROVIDERS
    for each in oracle.exchanges(provider, "chat")
    if isinstance(each.request.get("body"), dict)
]
OUR_LIMIT: Final = 777
_AZURE: Final = re.compile(r"/openai(/deployments/([^/]+)/chat/completions\?api-version=([\w-]+))$")

REFUSED: Final[dict[str, str]] = {
    "openai/chat__400__ai-gateway__34577680": "messages",
    "openai/chat__400__ai-gateway__b507044c": "max_tokens",
}
"""What is refused at our door already, and by OpenAI too: by the field."""
WITHHELD: Final[Mapping[str, int]] = {"crusoe": 1, "ollama": 1}
"""Requests that cannot be said: they send thoughts back to a host that has no quirk for that. Of
Crusoe no stanza is shipped, and Ollama's is for its native API."""


def name(recording: Recording) -> str:
    return recording.file.removesuffix(".json")


TAKEN: Final = [each for each in RECORDED if name(each) not in REFUSED]


@pytest.mark.parametrize("file", REFUSED)
def test_what_is_refused_at_the_door(file: str) -> None:
    [recording] = [each for each in RECORDED if name(each) == file]
    assert recording.status == 400
    with pytest.raises(InvalidRequest) as caught:
        sent(recording, {})
    assert caught.value.param == REFUSED[file]


def stanza_of(recording: Recording) -> JSON:
    return STANZAS.get(recording.file.partition("/")[0], {})


def sent(recording: Recording, stanza: JSON) -> HttpCall:
    """What we send for a recorded body by a provider's stanza. Raises InvalidRequest."""
    found = _AZURE.search(recording.request["url"])
    upstream, version = (unquote(found[2]), found[3]) if found else (None, None)
    body = recording.request["body"]
    upstream = upstream or body["model"]
    request = read_request(json.dumps({"model": upstream, **body}).encode(), {}, 64)
    request, missed = without_fields(request, stanza.get("lacks", ()), "it")
    assert missed == (), "a host was asked for what we say that it lacks"
    quirks = frozenset(stanza.get("quirks", ()))
    target = Target(upstream, OUR_LIMIT, quirks, version)
    return openai.encode(request, target, stream=request.stream)


def plain(body: JSON, *, ours: bool) -> JSON:
    told = {key: value for key, value in body.items() if key != "stream_options"}
    if told.get("stream") is False:
        del told["stream"]
    limits = [told.pop(each, None) for each in ("max_completion_tokens", "max_tokens")]
    limit = next((each for each in limits if each is not None), None)
    if limit is not None and not (ours and limit == OUR_LIMIT):
        told["limit"] = limit
    return told


def thoughtless(messages: list[JSON], stanza: JSON) -> list[JSON]:
    """Messages without the thoughts in earlier answers, but for those that the host takes."""
    quirks = stanza.get("quirks", ())
    kept = {each for each in FOREIGN_FIELDS if {"echo_reasoning", f"takes_{each}"} & set(quirks)}
    gone = set(FOREIGN_FIELDS) - kept
    return [
        {k: v for k, v in message.items() if k not in gone or message["role"] != "assistant"}
        for message in messages
    ]


def withheld(recording: Recording, stanza: JSON) -> bool:
    """Whether it sends thoughts back to a host that did not ask for them."""
    messages: list[JSON] = recording.request["body"]["messages"]
    return thoughtless(messages, stanza) != messages


@pytest.mark.parametrize("shipped", [False, True], ids=["no quirks", "its stanza"])
@pytest.mark.parametrize("recording", TAKEN, ids=name)
def test_a_recorded_request_is_sent_as_it_was(recording: Recording, shipped: bool) -> None:
    stanza = stanza_of(recording) if shipped else {}
    asked = recording.request["body"]
    call = sent(recording, stanza)
    made = json.loads(call.body)
    want, got = plain(asked, ours=False), plain(made, ours=True)
    for unsent in set(stanza.get("lacks", ())) & want.keys():
        assert not is_requested(unsent, want.pop(unsent)), "Groq is told `n: 1`"
    want.setdefault("model", got["model"])  # Azure has it in the path
    dropped = ("models",) if want.pop("models", None) else ()  # OpenRouter's
    assert call.dropped == dropped
    if withheld(recording, stanza):
        want["messages"] = thoughtless(want["messages"], stanza)
    assert got == want
    assert recording.request["url"].endswith(call.path)
    told = made.get("stream_options", {}).get("include_usage", False)
    assert told == ("stream" in got and "no_stream_usage" not in stanza.get("quirks", ()))


def test_what_cannot_be_said() -> None:
    """Only thoughts, and only to hosts whose stanza does not ask for them."""
    found = [each for each in RECORDED if withheld(each, stanza_of(each))]
    assert Counter(each.file.partition("/")[0] for each in found) == WITHHELD
    assert len(RECORDED) == 321


SAYABLE: Final = [each for each in TAKEN[::7] if not withheld(each, {})]


@pytest.mark.parametrize("recording", SAYABLE, ids=name)
def test_a_field_that_is_not_ours_keeps_its_bytes(recording: Recording) -> None:
    came = split(json.dumps(recording.request["body"]).encode())
    goes = split(sent(recording, {}).body)
    ours = {"model", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
    for field in came.keys() - ours:
        assert bytes(goes[field]) == bytes(came[field]), field


def split(body: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
