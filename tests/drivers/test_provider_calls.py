"""What a call is told of its plan: the most that goes in, and what the model is trusted with."""

import json

import msgspec
import pytest

from gateway.core.chat import ChatRequest
from gateway.core.money import Nanos
from gateway.core.plan import Candidate
from gateway.drivers.upstream.provider_calls import ProviderCalls
from tests.config.texts import SOUND, snapshot

BODY = b'{"model":"m1","messages":[{"role":"user","content":"x"}]}'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompt", "window"), [(10, 4_096), (5_000, 8_192), (7_000, 8_192)])
def test_the_window_holds_what_was_planned(prompt: int, window: int, stream: bool) -> None:
    found = snapshot(SOUND.replace("dialect: openai", "dialect: ollama"))
    model = msgspec.structs.replace(found.catalog.models["m1"], usable_context=8_192)
    candidate = Candidate(model, model.deployments[0], "none", 100, Nanos(0), prompt=prompt)
    request = ChatRequest(msgspec.json.decode(BODY, type=dict[str, msgspec.Raw]), "m1")
    call = ProviderCalls(found.providers).write(candidate, request, stream=stream)
    assert json.loads(call.http.body)["options"] == {"num_ctx": window, "num_predict": 100}
