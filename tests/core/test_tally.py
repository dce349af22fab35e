"""What an answer is billed at: a whole one, and a streamed one wherever it ends."""

from collections.abc import Sequence

import pytest
from msgspec import Raw, structs

from gateway.core.billing import CountCap, Tally, billed
from gateway.core.chat import Choice, ChoiceDelta, Completion, Delta, ToolDelta, Usage
from tests.core.asked import request, user

ASKED = request(user("x" * 40))
END = Delta((ChoiceDelta(finish="stop"),))


def text(piece: str) -> Delta:
    return Delta((ChoiceDelta(text=piece),))


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([], Usage(10, 0)),
        ([text("abcd"), text("e")], Usage(10, 2)),
        ([text("é" * 2), text("")], Usage(10, 1)),
        ([Delta((ChoiceDelta(reasoning="abcd"),))], Usage(10, 1)),
        ([Delta((ChoiceDelta(refusal="abcd"),))], Usage(10, 1)),
        ([Delta((ChoiceDelta(tool_calls=(ToolDelta(0, "c", "f", "abcd"),)),))], Usage(10, 1)),
        ([Delta((ChoiceDelta(0, "abcd"), ChoiceDelta(1, "abcd")))], Usage(10, 2)),
        ([Delta(usage=Usage(99, 1, 50, 20, 1)), text("abcd" * 5)], Usage(99, 5, 50, 20, 1)),
        ([text("abcd"), Delta(usage=Usage(99, 30, reasoning=29))], Usage(99, 30, reasoning=29)),
        ([Delta(usage=Usage(99, 1)), Delta(usage=Usage(99, 8))], Usage(99, 8)),
        ([Delta(usage=Usage(0, 3))], Usage(10, 3)),
        ([Delta((ChoiceDelta(text="abcd"),), size=4), text("e")], Usage(10, 2)),
    ],
)
def test_what_it_is_billed_at_here(deltas: list[Delta], expected: Usage) -> None:
    tally, poured, gone = Tally(), Tally(), list[Delta]()

    def pour(deltas: Sequence[Delta]) -> bool:
        gone.extend(deltas)
        return True

    sink = poured.before(pour)
    for delta in deltas:
        tally.add((delta,))
        assert sink((delta,))
    assert tally.counted(ASKED) == poured.counted(ASKED) == expected
    assert tally.begun is poured.begun is bool(deltas)
    assert gone == deltas


def test_what_the_provider_told_last_counts() -> None:
    tally = Tally()
    assert tally.usage is None
    tally.add((Delta(usage=Usage(1, 1)), text("x"), Delta(usage=Usage(1, 2))))
    assert tally.usage == Usage(1, 2)


@pytest.mark.parametrize(
    ("told", "said", "expected"),
    [
        (Usage(99, 30, reasoning=29), "abcd", (Usage(99, 30, reasoning=29), False)),
        (Usage(99, 0), "", (Usage(99, 0), False)),
        (None, "abcde", (Usage(10, 2), True)),
        # A provider that has not counted, or left out a prompt that it had in its cache.
        (Usage(0, 0), "abcde", (Usage(10, 2), True)),
        (Usage(0, 7), "abcde", (Usage(10, 7), True)),
        (Usage(99, 0, cached=50), "abcde", (Usage(99, 2, cached=50), True)),
        (Usage(0, 0), "", (Usage(10, 0), True)),
    ],
)
def test_what_a_whole_answer_is_billed_at(
    told: Usage | None, said: str, expected: tuple[Usage, bool]
) -> None:
    answer = Completion(choices=(Choice(text=said),), usage=told)
    tally = Tally()
    tally.add((text(said), Delta(usage=told)))
    assert billed(answer, ASKED) == tally.billed(ASKED) == expected


def test_an_image_that_nobody_told_of_is_billed_at_what_its_model_takes() -> None:
    asked = request(user([{"type": "image_url", "image_url": {"url": "x"}}]))
    most = CountCap(each_image=5_000)
    tally = Tally(most)
    assert tally.counted(asked).prompt == 5_000
    assert tally.billed(asked)[0].prompt == 5_000
    assert billed(Completion(choices=()), asked, lambda: most)[0].prompt == 5_000


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, Usage(1_600, 1, audio_prompt=1_600)),
        (Usage(0, 1), Usage(1_600, 1, audio_prompt=1_600)),
        (Usage(99, 1, audio_prompt=40), Usage(99, 1, audio_prompt=40)),
        (Usage(99, 1), Usage(99, 1)),
    ],
)
def test_sound_that_nobody_told_of_is_billed_as_sound(told: Usage | None, expected: Usage) -> None:
    asked = request(user([{"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}}]))
    tally = Tally()
    tally.add((text("abcd"), Delta(usage=told)))
    assert tally.counted(asked) == tally.billed(asked)[0] == expected
    answer = Completion(choices=(Choice(text="abcd"),), usage=told)
    assert billed(answer, asked)[0] == expected


def test_a_prompt_that_we_count_ourselves_is_no_more_than_is_held() -> None:
    """Of a model that makes fewer tokens of it than we think."""
    most = CountCap(prompt=4)
    tally = Tally(most)
    tally.add((text("abcd"),))
    assert tally.counted(ASKED) == tally.billed(ASKED)[0] == Usage(4, 1)
    answer = Completion(choices=(Choice(text="abcd"),))
    assert billed(answer, ASKED, lambda: most) == (Usage(4, 1), True)
    tally.add((Delta(usage=Usage(99, 30)),))
    assert tally.counted(ASKED) == tally.billed(ASKED)[0] == Usage(99, 30)


def test_an_answer_that_we_count_ourselves_is_no_more_than_its_limit() -> None:
    """Of words that are long: a token of such a text has more bytes than we think."""
    most, long = CountCap(answer=3), "international " * 3
    tally = Tally(most)
    tally.add((text(long),))
    assert tally.counted(ASKED) == tally.billed(ASKED)[0] == Usage(10, 3)
    answer = Completion(choices=(Choice(text=long),))
    assert billed(answer, ASKED, lambda: most) == (Usage(10, 3), True)
    tally.add((Delta(usage=Usage(99, 30)),))
    assert tally.counted(ASKED) == tally.billed(ASKED)[0] == Usage(99, 30), "as it was told"


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([END, Delta(usage=Usage(9, 3))], 3),
        ([structs.replace(END, usage=Usage(9, 3))], 3),
        ([END, Delta(usage=Usage(9, 2)), Delta(usage=Usage(9, 3))], 3),
        ([END, Delta(usage=Usage(9, 0))], 11),  # it has not counted
        ([END, Delta(usage=Usage(9, 3)), Delta((ChoiceDelta(text="abcd"),))], 12),
        ([Delta(usage=Usage(9, 3)), END], 11),  # more was to come
        ([Delta(usage=Usage(9, 3))], 11),
    ],
)
def test_what_was_told_behind_the_end_is_what_it_is_billed_at(
    deltas: list[Delta], expected: int
) -> None:
    """Whoever hangs up at the last word pays what the provider bills for all of them."""
    tally = Tally()
    tally.add((text("international " * 3),))
    tally.add(deltas)
    assert tally.counted(ASKED) == Usage(9, expected)


def test_a_call_of_a_function_as_it_once_was_is_counted() -> None:
    once = {"function_call": Raw(b'{"name":"f","arguments":"abcdefgh"}')}
    tally = Tally()
    tally.add((Delta((ChoiceDelta(extra=once),)), Delta((ChoiceDelta(extra=once),))))
    assert tally.counted(ASKED) == Usage(10, 4)
    odd = {"function_call": Raw(b'["no call"]')}
    answer = Completion(choices=(Choice(text=None, extra=once), Choice(text=None, extra=odd)))
    assert billed(answer, ASKED) == (Usage(10, 2), True)
