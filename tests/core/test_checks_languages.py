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


CITIES: Final = (
    "東京都、神奈川県、新潟県、石川県、長野県、静岡県、愛知県、京都府、大阪府、兵庫県、奈良県"
)
CHAPTERS: Final = (
    "第一章 総則、第二章 目的及定義、第三章 権利義務、第四章 契約終了、第五章 技術的課題"
)
JAPANESE: Final = "歳出の総額は百十二兆円で、社会保障関係費が最も大きな割合を占めています。"


@pytest.mark.parametrize("text", [CITIES, CHAPTERS])
def test_names_and_titles_in_japanese_have_no_kana(text: str) -> None:
    assert whys("language", text, language="ja") == []
    for question, answer in ((JAPANESE, text), (text, JAPANESE)):
        asked = request(messages=[{"role": "user", "content": question}])
        assert whys("language", answer, asked) == []
    assert whys("language", text, language="ko") != []


@pytest.mark.parametrize(
    "text",
    [
        CHINESE,
        "人工智能技术的发展正在改变各行各业的运作方式\uff0c企业需要及时调整战略以适应新的环境。",
        "機器學習是人工智慧的一個分支\uff0c主要研究如何讓電腦從資料中學習規律並做出預測。",
    ],
)
def test_chinese_is_no_japanese(text: str) -> None:
    asked = request(messages=[{"role": "user", "content": JAPANESE}])
    assert whys("language", text, asked) != []
    assert whys("language", text, language="zh") == []
