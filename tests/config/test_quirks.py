"""Quirks of a provider and of one model there, from the YAML to the bytes that are sent."""

import json

import msgspec
import pytest

from gateway.core.chat import ChatRequest
from gateway.core.money import Nanos
from gateway.core.plan import Candidate
from gateway.core.snapshot import QUIRKS
from gateway.drivers.provider_calls import ProviderCalls
from tests.config.texts import SOUND, faults, snapshot

BODY = b'{"model":"m1","messages":[{"role":"developer","content":"x"}],"seed":1}'
PLAIN = {"role": "developer", "limit": "max_completion_tokens", "seed": "seed"}
CASES: list[tuple[str, str, dict[str, str]]] = [
    # the provider's, the model's there, what differs in what is sent
    ("[]", "[]", {}),
    ("[max_tokens]", "[]", {"limit": "max_tokens"}),
    ("[]", "[max_tokens]", {"limit": "max_tokens"}),
    ("[max_tokens]", "[random_seed]", {"limit": "max_tokens", "seed": "random_seed"}),
    ("[max_tokens]", "[max_completion_tokens]", {}),
    ("[max_completion_tokens]", "[max_tokens]", {"limit": "max_tokens"}),
    ("[no_developer_role]", "[max_tokens]", {"role": "system", "limit": "max_tokens"}),
]


@pytest.mark.parametrize(("providers", "models", "sent"), CASES)
def test_a_models_quirks_are_beside_its_providers(
    providers: str, models: str, sent: dict[str, str]
) -> None:
    text = SOUND.replace("regions: [eu]", f"quirks: {providers}")
    text = text.replace("[{provider: local}]", f"[{{provider: local, quirks: {models}}}]")
    found = snapshot(text)
    model = found.catalog.models["m1"]
    candidate = Candidate(model, model.deployments[0], "none", 9, Nanos(0))
    request = ChatRequest(msgspec.json.decode(BODY, type=dict[str, msgspec.Raw]), "m1")
    body = json.loads(
        ProviderCalls(found.providers).write(candidate, request, stream=False).http.body
    )
    told = {
        "role": body["messages"][0]["role"],
        "limit": next(name for name in body if name.startswith("max_")),
        "seed": next(name for name in body if name.endswith("seed")),
    }
    assert told == PLAIN | sent


def test_a_quirk_that_is_none_is_a_fault() -> None:
    text = SOUND.replace("[{provider: local}]", "[{provider: local, quirks: [max_tokns]}]")
    known = ", ".join(QUIRKS)
    [told] = faults(text)
    place = "f.yaml:5: models.m1.deployments[0].quirks[0]"
    assert told == f'{place}: must be one of {known}, not "max_tokns"; did you mean max_tokens?'
