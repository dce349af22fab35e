"""Quirks of a provider and of one model there, from the YAML to the bytes that are sent."""

import json
import re

import msgspec
import pytest
from msgspec import structs

from gateway.commands.shipped import shipped_catalog
from gateway.config.load import read
from gateway.core.catalog import Deployment, Model
from gateway.core.chat import ChatRequest
from gateway.core.errors import Unsuitable
from gateway.core.money import FREE, Nanos
from gateway.core.plan import Candidate
from gateway.core.snapshot import QUIRKS, Snapshot
from gateway.drivers.upstream.provider_calls import ProviderCall, ProviderCalls
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


# Fields that a model lacks ------------------------------------------------------------------------

ASKED = (
    b'{"model":"m1","messages":[{"role":"user","content":"x"}],'
    b'"temperature":0.2,"top_p":1,"seed":1,"stop":["x"]}'
)
LACKING: list[tuple[str, str, set[str], tuple[str, ...]]] = [
    # the provider's, the model's there, which of ASKED is sent, what is told as dropped
    ("[]", "[]", {"temperature", "top_p", "seed", "stop"}, ()),
    ("[seed]", "[]", {"temperature", "top_p", "stop"}, ("seed",)),
    ("[]", "[temperature, top_p]", {"seed", "stop"}, ("temperature",)),  # a top_p of 1 asks nothing
    ("[seed]", "[temperature]", {"top_p", "stop"}, ("seed", "temperature")),
]


def written(text: str, body: bytes, model: str = "m1", *, stream: bool) -> ProviderCall:
    found = snapshot(text)
    there = found.catalog.models[model]
    candidate = Candidate(there, there.deployments[0], "none", 9, Nanos(0))
    request = ChatRequest(msgspec.json.decode(body, type=dict[str, msgspec.Raw]), model, stream)
    return ProviderCalls(found.providers).write(candidate, request, stream=stream)


def lacking(providers: str, models: str) -> str:
    text = SOUND.replace("regions: [eu]", f"lacks: {providers}")
    return text.replace("[{provider: local}]", f"[{{provider: local, lacks: {models}}}]")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("providers", "models", "sent", "dropped"), LACKING)
def test_what_a_model_lacks_is_beside_what_its_provider_lacks(
    providers: str, models: str, sent: set[str], dropped: tuple[str, ...], stream: bool
) -> None:
    call = written(lacking(providers, models), ASKED, stream=stream)
    there = json.loads(call.http.body).keys()
    assert there & {"temperature", "top_p", "seed", "stop"} == sent
    assert call.http.dropped == dropped


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_model_lacks_and_the_answer_needs_is_asked_elsewhere(stream: bool) -> None:
    with pytest.raises(Unsuitable, match="stop: local cannot do this"):
        written(lacking("[]", "[stop]"), ASKED, stream=stream)


STEERED = (
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0,"top_p":0.5,'
    b'"presence_penalty":1,"frequency_penalty":1,"logit_bias":{"1":1},"seed":1}'
)
STEERING = ("frequency_penalty", "logit_bias", "presence_penalty", "temperature", "top_p")
REFUSES: list[tuple[str, tuple[str, ...]]] = [
    ("openai/gpt-5.5", STEERING),
    ("azure/gpt-5.5", STEERING),
    ("openai/gpt-5.5-pro", STEERING),
    ("openai/gpt-5.5-mini", STEERING),
    ("openai/gpt-5", STEERING),
    ("azure/gpt-5-mini", STEERING),
    ("openai/gpt-4.1", ()),
    ("azure/gpt-4o", ()),
    ("moonshot/kimi-k2.6", ("frequency_penalty", "presence_penalty", "temperature", "top_p")),
    ("xai/grok-4", ("frequency_penalty", "presence_penalty")),
    ("deepseek/deepseek-v4-pro", ()),
]


@pytest.fixture(scope="module")
def shipped_snapshot() -> Snapshot:
    texts = [(path.name, path.read_text("utf-8")) for path in shipped_catalog()]
    names = set(re.findall(r"\$\{(\w+)\}", texts[0][1]))
    return read([*texts, ("mine.yaml", "tenants: {t: {}}\n")], dict.fromkeys(names, "eu-west-1"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "dropped"), REFUSES)
def test_the_shipped_models_are_steered_only_where_they_can_be(
    name: str, dropped: tuple[str, ...], stream: bool, shipped_snapshot: Snapshot
) -> None:
    provider, _, model = name.partition("/")
    there = shipped_snapshot.catalog.models[model]
    deployment = next(each for each in there.deployments if each.provider == provider)
    of = shipped_snapshot.providers[provider]
    request = ChatRequest(msgspec.json.decode(STEERED, type=dict[str, msgspec.Raw]), model, stream)
    candidate = Candidate(there, deployment, "none", 9, Nanos(0))
    call = ProviderCalls({provider: structs.replace(of, auth=None)}).write(
        candidate, request, stream=stream
    )
    assert call.http.dropped == dropped
    assert set(STEERING) - json.loads(call.http.body).keys() == set(dropped)


LOGPROBS = b'{"model":"m","messages":[{"role":"user","content":"x"}],"logprobs":true}'


@pytest.mark.parametrize(("model", "asked"), [("gpt-5", False), ("gpt-5.5", True)])
def test_who_is_asked_for_logprobs(model: str, asked: bool, shipped_snapshot: Snapshot) -> None:
    there = shipped_snapshot.catalog.models[model]
    providers = {"openai": shipped_snapshot.providers["openai"]}
    request = ChatRequest(msgspec.json.decode(LOGPROBS, type=dict[str, msgspec.Raw]), model)
    candidate = Candidate(there, there.deployments[0], "none", 9, Nanos(0))
    if asked:
        call = ProviderCalls(providers).write(candidate, request, stream=False)
        assert json.loads(call.http.body)["logprobs"] is True
        return
    with pytest.raises(Unsuitable, match="logprobs: openai cannot do this"):
        ProviderCalls(providers).write(candidate, request, stream=False)


TOOLS = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}'


def test_a_host_without_tools_is_not_asked_for_them(shipped_snapshot: Snapshot) -> None:
    providers = {"perplexity": shipped_snapshot.providers["perplexity"]}
    there = Deployment("perplexity/m", "perplexity", "m")
    model = Model("m", (there,), FREE, 9, 9, 9)
    request = ChatRequest(msgspec.json.decode(TOOLS, type=dict[str, msgspec.Raw]), "m")
    with pytest.raises(Unsuitable, match="tools: perplexity cannot do this"):
        ProviderCalls(providers).write(
            Candidate(model, there, "none", 9, Nanos(0)), request, stream=False
        )


LIMITED = b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5,"n":N}'


def sent_to(host: str, snapshot: Snapshot, *, n: int = 1) -> dict[str, object]:
    there = Deployment(f"{host}/m", host, "m")
    model = Model("m", (there,), FREE, 9, 9, 9)
    body = LIMITED.replace(b"N", b"%d" % n)
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    request = ChatRequest(fields, "m", max_tokens=5, n=n)
    call = ProviderCalls({host: snapshot.providers[host]}).write(
        Candidate(model, there, "none", 9, Nanos(0)), request, stream=False
    )
    sent: dict[str, object] = json.loads(call.http.body)
    return sent


@pytest.mark.parametrize("host", ["azure", "dashscope", "openai", "snowflake"])
def test_the_limit_has_the_name_that_bounds_all_that_is_billed(
    host: str, shipped_snapshot: Snapshot
) -> None:
    sent = sent_to(host, shipped_snapshot)
    assert {name: sent[name] for name in sent if name.startswith("max_")} == {
        "max_completion_tokens": 5
    }


def test_a_host_that_gives_one_answer_is_asked_for_one(shipped_snapshot: Snapshot) -> None:
    assert sent_to("groq", shipped_snapshot)["model"] == "m"
    with pytest.raises(Unsuitable, match="n: groq cannot do this"):
        sent_to("groq", shipped_snapshot, n=2)
