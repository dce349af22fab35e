"""What a life is charged where prices depend on the host and the hour."""

from dataclasses import replace

import pytest
from msgspec import Raw, structs

from gateway.core.catalog import Catalog
from gateway.core.chat import Usage
from gateway.core.errors import Faulty, NoAnswer
from gateway.core.money import Audio, SearchFee
from gateway.core.tariff import Step, Tariff, Window
from tests.lives import ANSWER, CATALOG, PROMPT, fails, hear, stage, well, whole

MODEL = CATALOG.models["a"]
TEN = structs.replace(MODEL.price, input=10**7, output=10**7, cached_input=10**7, cache_write=10**7)


@pytest.mark.parametrize(
    ("tariff", "nanos_a_token"),
    [
        (None, 1),
        (Tariff(TEN), 10),
        # The scene begins at 00:16:40 UTC of some day, and a call takes a second.
        (Tariff(TEN, (Window(0, 30, MODEL.price),)), 1),
        (Tariff(TEN, (Window(0, 10, MODEL.price),)), 10),
        (Tariff(MODEL.price, (Window(10, 20, TEN),)), 10),
        # The step that the reported prompt did reach, not the one that it might have.
        (Tariff(MODEL.price, (), (Step(PROMPT, TEN),)), 1),
        (Tariff(MODEL.price, (), (Step(PROMPT - 1, TEN),)), 10),
        (Tariff(MODEL.price, (Window(0, 30, MODEL.price, steps=(Step(0, TEN),)),)), 10),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_costs_what_its_host_charges_at_that_hour(
    tariff: Tariff | None, nanos_a_token: int, stream: bool
) -> None:
    there = structs.replace(MODEL.deployments[0], tariff=tariff)
    known = Catalog({"a": structs.replace(MODEL, deployments=(there,))}, {}, {})
    scene = stage("a", {"a": [well]}, stream=stream, catalog=known)
    await hear(scene.life)
    assert scene.life.tab.spent == ANSWER * nanos_a_token
    await whole(scene)


@pytest.mark.parametrize(
    ("audio", "heard", "said", "nanos"),
    [
        (None, 6, 2, ANSWER),
        (Audio(4, 7, 2), 0, 0, ANSWER),
        (Audio(4, 7, 2), 6, 2, (PROMPT - 6) + 6 * 4 + 3 + 2 * 7),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_sound_is_held_and_charged_at_its_own_price(
    audio: Audio | None, heard: int, said: int, nanos: int, stream: bool
) -> None:
    """That of its host, by what the provider says of it; never beyond what was held."""
    a_token = 10**6
    priced = None if audio is None else Audio(*(r * a_token for r in structs.astuple(audio)))
    there = structs.replace(
        MODEL.deployments[0], tariff=Tariff(structs.replace(MODEL.price, audio=priced))
    )
    known = Catalog({"a": structs.replace(MODEL, deployments=(there,))}, {}, {})
    usage = Usage(PROMPT, ANSWER - PROMPT, audio_prompt=heard, audio_completion=said)

    spoken = replace(well, usage=usage)
    scene = stage("a", {"a": [spoken]}, stream=stream, catalog=known)
    await hear(scene.life)
    assert scene.life.tab.spent == nanos
    await whole(scene)


@pytest.mark.parametrize(
    ("fee", "searches", "nanos"),
    [
        (None, 2, ANSWER),
        (SearchFee(1_000), 0, ANSWER),
        (SearchFee(1_000), 2, ANSWER + 2_000),
        (SearchFee(1_000, per_call=True), 2, ANSWER + 1_000),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_searches_are_held_and_charged_beside_the_tokens(
    fee: SearchFee | None, searches: int, nanos: int, stream: bool
) -> None:
    price = structs.replace(MODEL.price, search=fee)
    able = structs.replace(MODEL, price=price, capabilities=frozenset({"tools"}))
    known = Catalog({"a": able}, {}, {})
    usage = Usage(PROMPT, ANSWER - PROMPT, searches=searches)
    scene = stage("a", {"a": [replace(well, usage=usage)]}, stream=stream, catalog=known)
    searching = Raw(b'[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]')
    fields = {**scene.life.request.fields, "tools": searching}
    scene.life.request = structs.replace(scene.life.request, fields=fields, shape=None)
    await hear(scene.life)
    assert scene.life.tab.spent == nanos
    (record,) = scene.life.tab.attempts
    assert record.usage.searches == searches
    assert record.held >= (3_000 if fee == SearchFee(1_000) else 0) + ANSWER
    await whole(scene)


@pytest.mark.parametrize(
    ("tariff", "listed", "reported", "nanos"),
    [
        (None, False, 5_000, 5_000),
        (None, False, 1, ANSWER),
        (None, True, 1, 1),
        (None, True, 0, ANSWER),
        (Tariff(TEN), False, ANSWER, ANSWER * 10),
        (Tariff(TEN), True, ANSWER, ANSWER),
        # By the dearer of its two hours, as ever.
        (Tariff(MODEL.price, (Window(10, 20, TEN),)), False, ANSWER, ANSWER * 10),
        (Tariff(MODEL.price, (Window(10, 20, TEN),)), False, ANSWER * 11, ANSWER * 11),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_provider_says_that_a_call_costs_is_charged(
    tariff: Tariff | None, listed: bool, reported: int, nanos: int, stream: bool
) -> None:
    there = structs.replace(MODEL.deployments[0], tariff=tariff, listed_price=listed)
    known = Catalog({"a": structs.replace(MODEL, deployments=(there,))}, {}, {})
    usage = Usage(PROMPT, ANSWER - PROMPT, reported_cost=reported)
    scene = stage("a", {"a": [replace(well, usage=usage)]}, stream=stream, catalog=known)
    await hear(scene.life)
    assert scene.life.tab.spent == nanos
    (record,) = scene.life.tab.attempts
    assert (record.cost, record.usage, record.counted) == (nanos, usage, False)
    assert (await scene.books())[0] == nanos
    await whole(scene)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_failed_is_charged_what_its_provider_says(
    listed: bool, stream: bool
) -> None:
    """At least: nobody knows what came after it was said."""
    there = structs.replace(MODEL.deployments[0], listed_price=listed)
    known = Catalog({"a": structs.replace(MODEL, deployments=(there,))}, {}, {})
    for reported, nanos in ((5_000, 5_000), (1, ANSWER)):
        error = Faulty("it broke")
        error.usage = Usage(PROMPT, ANSWER - PROMPT, reported_cost=reported)
        scene = stage("a", {"a": [fails(error)]}, stream=stream, catalog=known)
        with pytest.raises(NoAnswer):
            await hear(scene.life)
        assert scene.life.tab.spent == (await scene.books())[0] == nanos
        await whole(scene)
