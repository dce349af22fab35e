"""In which languages a question may be answered that is about a text in another one."""

from typing import Final

import pytest

from tests.core.checked import request, whys

ENGLISH: Final = (
    "The article describes the capital of France, which is known for its museums and for the river"
    " that runs through it. It says that there is more to see than you can in a week. " * 4
)
GERMAN: Final = (
    "Die Hauptstadt von Frankreich ist Paris, und sie liegt an der Seine. Es ist nicht die größte"
    " Stadt der Welt, aber eine der bekanntesten, und wir sind oft dort. " * 4
)
CHINESE: Final = "巴黎是法国的首都\uff0c也是该国最大的城市\u3002" * 20
RUSSIAN: Final = "Париж столица Франции. " * 20


@pytest.mark.parametrize("text", [GERMAN, CHINESE, RUSSIAN], ids=["de", "zh", "ru"])
@pytest.mark.parametrize(
    "question",
    [
        "Summarize this article:\n\n{}",
        "Summarize:\n{}",
        "{}\n\nWhat is the above about?",
        "<document>\n{}\n</document>\n\nWho is it about?",
        'Tell me what "{}" is about.',
        "Summarize:\r\n```\n{}\n```\n{}",
    ],
)
def test_a_text_that_is_asked_about_may_be_in_another_language(text: str, question: str) -> None:
    asked = request(messages=[{"role": "user", "content": question.replace("{}", text)}])
    assert whys("language", ENGLISH, asked) == []
    assert whys("language", text, asked) == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Fasse das zusammen:\n\n", GERMAN),
        ("Erkläre mir diesen Fehler:\n", GERMAN),
        ("请总结下面的文章\uff1a\n", CHINESE),
        ("Кратко объясни, что здесь написано.\n", RUSSIAN),
    ],
)
def test_an_english_text_may_be_asked_about_in_another_language(question: str, answer: str) -> None:
    asked = request(messages=[{"role": "user", "content": question + ENGLISH}])
    assert whys("language", answer, asked) == []


@pytest.mark.parametrize("answer", [GERMAN, ENGLISH, ""])
def test_a_model_may_think_in_any_language(answer: str) -> None:
    asked = request(messages=[{"role": "user", "content": GERMAN}])
    thought = f"<think>\n{ENGLISH}\n</think>\n\n{answer}"
    assert whys("language", thought, asked) == whys("language", answer, asked)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (ENGLISH, GERMAN),
        (f"Summarize this:\n\n{ENGLISH}", GERMAN),
        (f"{ENGLISH}\n\nWhat is it about?\n\nParis", CHINESE),
        (f'What is this about?\n"{ENGLISH}"', RUSSIAN),
        (f"Fasse das zusammen:\n\n{GERMAN}", ENGLISH),
        (f"请总结\uff1a\n{CHINESE}", ENGLISH),
        (CHINESE, ENGLISH),
        (RUSSIAN, ENGLISH),
    ],
)
def test_a_question_in_one_language_is_answered_in_it(question: str, answer: str) -> None:
    asked = request(messages=[{"role": "user", "content": question}])
    assert whys("language", answer, asked) != []
