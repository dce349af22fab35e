"""The checks of language, length, schema, Python and quotations, as tables."""

import json
from time import process_time
from typing import Any, Final

import pytest

from gateway.core.catalog import Check
from gateway.core.chat import Choice, Completion
from gateway.core.checks import CHECKS
from gateway.core.checks.fences import fences
from gateway.core.checks.python_code import SIZE
from tests.core.checked import call, mend, request, whys

ENDLESS = ("`", "``` ", "```a", "a", " ")
SEARCH = Choice(tool_calls=(call("search", {}),))
BROKEN = ["its Python does not parse"]
NO_PYTHON = ["there is no Python that parses in it"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(x):\n    return x", []),
        ("```python\ndef f(x):\n    return x\n```", []),
        ("So:\n```py\n    x = 1\n    y = 2\n```\nDone (.", []),
        ("```python\nx = 1\n```\nand\n```\n[out] 1 2 3\n```", []),
        ("```\n[out] 1 2\n```\n```\nx = 1\n```", []),
        ("```python\n!pip install x\nimport x\n```", []),
        ("```python\n# Install it first\n!pip install x\nimport x\n%matplotlib inline\n```", []),
        ("```python\n# Use it so:\n>>> f('a')\n<A of 3>\n```", []),
        ("So:\n```pycon\n>>> f('a')\n<A of 3>\n```", []),
        ("So:\n```ipython\n%timeit f()\nx = (\n```", BROKEN),
        ("```python\nx = ('%s'\n%y)\n```", []),
        ("```python\nimport x\n!pip install x\nprint 'x'\n```", BROKEN),
        ("```python\n>>> 1 +\n1\n```", []),
        ("```python\nreturn 1\n```", []),
        ("```python\npattern = '\\d'\n```", []),
        ("```python\ndef f(x)\n    return x\n```", BROKEN),
        ("```python\nx = 1\n```\n```python\nprint 'x'\n```", BROKEN),
        ("```python\nx = (1", BROKEN),
        ("```python\n" + "(" * 5_000 + "\n```", BROKEN),
        ("```python\n" + "-" * 40_000 + "1\n```", BROKEN),
        ("```python\nx = '\0'\n```", BROKEN),
        ("It cannot be done.", NO_PYTHON),
        ("", NO_PYTHON),
        ("Paris", NO_PYTHON),
        ("Answer: well-known", NO_PYTHON),
        ("# I am sorry", NO_PYTHON),
        ("2 + 2", []),
        ("x: int = 1", []),
        (">>> x", []),
        ("x" * (SIZE + 1), [f"it is longer than {SIZE} characters, and is not parsed"]),
        (SEARCH, []),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_python(text: Choice | str, says: list[str]) -> None:
    assert whys("python", text) == says


@pytest.mark.parametrize("unit", ENDLESS)
def test_a_line_without_end_behind_a_fence_is_read_once(unit: str) -> None:
    """It took 14 s of a text of this length."""
    before = process_time()
    assert fences("```" + unit * (200_000 // len(unit))) == []
    assert process_time() - before < 2


@pytest.mark.parametrize(
    ("name", "says"),
    [("f", []), ("C", []), ("inner", []), ("g", ["it does not define g"])],
)
def test_python_that_defines(name: str, says: list[str]) -> None:
    text = (
        "```python\nclass C:\n    async def inner(self): ...\ndef f(): ...\n```\n```python\n1\n```"
    )
    assert whys("python", text, defines=name) == says


@pytest.mark.parametrize(
    ("options", "text", "says"),
    [
        ({"min_characters": 5}, "Paris", []),
        ({"min_characters": 6}, "Paris", ["it has 5 characters, and must have 6 at least"]),
        ({"max_characters": 4}, "Paris", ["it has more than 4 characters"]),
        ({"max_words": 2}, "In  Paris\n", []),
        ({"max_words": 1}, "In Paris", ["it has more than 1 words"]),
        ({"min_tokens": 2}, "Paris", []),
        ({"max_tokens": 1}, "日本語", ["it has more than 1 tokens"]),
        ({"min_words": 1}, None, ["it has 0 words, and must have 1 at least"]),
        ({"min_words": 1}, SEARCH, []),
    ],
)
def test_length(options: dict[str, Any], text: Choice | str | None, says: list[str]) -> None:
    assert whys("length", text, **options) == says


SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
OWN: Final = json.dumps(SCHEMA)
ASKED = request(response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"n": 1}', []),
        ('Here:\n```json\n{"n": 1}\n```', []),
        ('{"n": 1, "s": "\\alpha\nbeta"}', []),
        ('{"n": "1"}', ['its JSON does not fit the schema: "type" is not met at n']),
        ("n is 1", ["it is not JSON"]),
        (None, ["it is not JSON"]),
        (SEARCH, []),
    ],
)
def test_schema(text: Choice | str | None, says: list[str]) -> None:
    assert whys("schema", text, ASKED) == says
    assert whys("schema", text, schema=OWN) == says
    assert whys("schema", text) == [], "without a schema anything passes"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('```json\n{"n": 1}\n```', '{"n":1}'),
        ('Here it is:\n{"n": 1}\nThat is all.', '{"n":1}'),
        ('{"n": 1, "s": "\\alpha\nbeta"}', '{"n":1,"s":"\\\\alpha\\nbeta"}'),
        ('{"n": 1, "s": "é"} ', '{"n": 1, "s": "é"} '),
        ('```json\n{"n": "x"}\n```', '```json\n{"n": "x"}\n```'),
        ("no JSON", "no JSON"),
        ("\n", "\n"),
        ('```\n{"n": 1, "s": 1e400}\n```', '```\n{"n": 1, "s": 1e400}\n```'),
        ('```\n{"n": 1, "s": 1.50}\n```', '{"n":1,"s":1.5}'),
    ],
)
def test_what_a_client_would_choke_on_is_fixed(text: str, becomes: str) -> None:
    answer = Completion(
        (Choice(text=text, tool_calls=() if text.strip() else SEARCH.tool_calls), SEARCH)
    )
    fix = Check("schema", {"schema": OWN, "fix": True})
    fixed = mend((fix,), answer, request())
    assert [choice.text for choice in fixed.choices] == [becomes, None]
    assert (fixed is answer) is (becomes == text)
    assert mend((Check("schema", {"schema": OWN}),), answer, request()) is answer


SKY: Final = "The sky over the city was grey"
LONG: Final = " ".join(f"word{number}" for number in range(120))
PROMPT: Final = [
    {"role": "system", "content": "Sources: [id:a1] The sky over the city was grey, they said."},
    {"role": "assistant", "content": "“The moon is made of cheese and nothing else.”"},
    {"role": "user", "content": [{"type": "text", "text": f"See [id:b2]. The sky? {LONG}"}]},
]


@pytest.mark.parametrize(
    ("pattern", "text", "passes"),
    [
        (None, "It was grey: “The sky over the  City was grey”.", True),
        (None, 'It was grey: "the sky over the city was grey, they said."', True),
        (None, 'It was blue: "the sky over the city was blue, they said."', False),
        (None, '"The moon is made of cheese and nothing else."', False),
        (None, 'It is "short".', True),
        (None, "Nothing is cited.", True),
        (None, '```python\nprint("The moon is made of cheese")\n```', True),
        (None, 'Say `print("The moon is made of cheese")`.', True),
        (None, 'Say `x`: "The moon is made of cheese."', False),
        (None, f'"{SKY}", as they said to all of those who were there with them.', True),
        (None, f'"{SKY}." So they said it to all of those who were there with them.', True),
        (None, f"„{SKY}.“, sagten sie zu allen, die an diesem Tag mit ihnen dort waren.", True),
        (None, f"»{SKY}.« Und dann sagten sie zu allen, die dort waren, dass es so ist.", True),
        (None, f"« {SKY} », et puis ils ont tous dit que cela est vrai et sera vrai.", True),
        (None, "« The sky over the city was blue », et puis ils ont tous dit que oui.", False),
        (None, 'What is "short" stands between two, and this one is "short" as well.', True),
        (None, 'A 5" pipe and another pipe that is much longer than that one, 10" long.', True),
        (None, "It is “`grey` and has been so for a long time”.", True),
        (None, f'"{LONG}"', True),
        (None, f'"{LONG.replace("word7 ", "word8 ")}"', False),
        (r'"(\w[^"]{20,})"', '`print("The moon is made of cheese")`', False),
        (r"\[id:(\w+)\]", "So it is [id:a1], and [id:b2].", True),
        (r"\[id:(\w+)\]", "So it is [id:a1], and [id:c3].", False),
        (r"\[id:\w+\]", "So it is [id:a12].", False),
        (r"\[id:(\w+)\]", SEARCH, True),
    ],
)
def test_citations_are_in_the_request(
    pattern: str | None, text: Choice | str, passes: bool
) -> None:
    options = {} if pattern is None else {"pattern": pattern}
    assert (not whys("cites_context", text, request(messages=PROMPT), **options)) is passes


EN: Final = "What is the capital of the country that is to the west of it, and how big is this?"
SAID: Final = {
    "en": "The answer to that is not what you would have thought of, as it was with all of them.",
    "de": "Die Antwort ist nicht das, was sich mit dem Wort auf den ersten Blick für uns ergibt.",
    "fr": "La réponse est dans le livre que vous avez sur la table, et elle est plus longue.",
    "es": "La respuesta es que no se puede hacer con los datos que hay en el libro de la mesa.",
    "it": "La risposta è nel libro che non ha con sé, ma come si è detto sono anche altre.",
    "pt": "A resposta não está no livro que você tem, mas em um dos que são para os outros.",
    "nl": "Het antwoord is niet wat je zou denken van een boek dat op de tafel ligt met die kaft.",
    "pl": "To nie jest tak, jak się wydaje, ale może być po prostu dla nas, oraz przez to.",
    "tr": "Bu bir cevap değil ama çok iyi bir kitap ve bu daha sonra için de gibi olarak.",
    "ru": "Ответ на этот вопрос не так прост, как кажется на первый взгляд.",
    "zh": "这个问题的答案并不像看起来那么简单\uff0c需要更多的思考和研究才能得出。",
    "ja": "この質問の答えは、見かけほど簡単ではありません。もっと考える必要があります。",
    "ko": "이 질문의 답은 보이는 것만큼 간단하지 않습니다. 더 생각해 보아야 합니다.",
    "ar": "الجواب على هذا السؤال ليس بسيطا كما يبدو للوهلة الأولى.",
    "hi": "इस प्रश्न का उत्तर उतना सरल नहीं है जितना पहली नज़र में लगता है।",
    "th": "คำตอบของคำถามนี้ไม่ง่ายอย่างที่เห็นในตอนแรก",
    "el": "η απάντηση σε αυτή την ερώτηση δεν είναι τόσο απλή όσο φαίνεται.",
}


NOT_TOLD_APART: Final = {"es", "pt"}
"""In one sentence."""


@pytest.mark.parametrize("wanted", SAID)
@pytest.mark.parametrize("spoken", SAID)
def test_a_language_is_told_from_all_others(wanted: str, spoken: str) -> None:
    told = wanted == spoken or {wanted, spoken} == NOT_TOLD_APART
    assert (not whys("language", SAID[spoken], language=wanted)) is told


@pytest.mark.parametrize(
    ("messages", "text", "passes"),
    [
        ([EN], SAID["en"], True),
        ([EN], SAID["de"], False),
        ([EN], SAID["zh"], False),
        ([SAID["ja"]], SAID["ja"], True),
        ([SAID["ja"]], SAID["zh"], False),
        ([SAID["ru"]], SAID["en"], False),
        ([f"{EN} Answer in German."], SAID["de"], True),
        ([f"Übersetze das: {EN}"], SAID["de"], True),
        (["4 x 4?"], SAID["de"], True),
        ([EN], "42", True),
        ([EN], "Paris", True),
        ([EN], '{"antwort": 16, "einheit": "km"}', True),
        ([EN], "```python\nder = die = das = und = ist = nicht = mit\n```", True),
        ([EN], None, True),
        ([EN], SEARCH, True),
    ],
)
def test_the_language_of_the_request(
    messages: list[str], text: Choice | str | None, passes: bool
) -> None:
    asked = request(messages=[{"role": "user", "content": each} for each in messages])
    assert (not whys("language", text, asked)) is passes


SERBIAN: Final = (
    "Nebo je plavo zato što vazduh rasipa plavu svetlost sunca više nego crvenu, i to je ono"
    " što vidimo kada se sunce nalazi visoko. Ako bi bilo nisko, ne bi samo bilo crveno."
)


def test_serbian_is_written_in_two_scripts() -> None:
    for text in (SERBIAN, SAID["ru"]):
        assert whys("language", text, language="sr") == []
        assert whys("language", text, language="en") == ["it is not in en"]


def test_a_hundred_thousand_messages_of_the_system_are_not_looked_through() -> None:
    """It took 4 s, in which a worker does nothing else."""
    rule = {"role": "system", "content": SAID["en"][:40]}
    asked = request(messages=[*[rule] * 100_000, {"role": "user", "content": SAID["en"]}])
    before = process_time()
    assert whys("language", SAID["de"], asked) == []
    assert process_time() - before < 2


def test_the_owner_may_rule_another_language() -> None:
    rule = {"role": "system", "content": SAID["de"]}
    asked = request(messages=[rule, {"role": "user", "content": EN}])
    assert whys("language", SAID["de"], asked) == []
    assert whys("language", SAID["en"], asked) == []
    assert whys("language", SAID["ru"], asked) == ["it is not in de or en"]


@pytest.mark.parametrize("name", ["tool_known", "tools_valid"])
def test_an_unknown_tool(name: str) -> None:
    tools = [{"type": "function", "function": {"name": "search", "parameters": {"minItems": 1}}}]
    assert whys(name, SEARCH, request(tools=tools)) == []
    unknown = Choice(tool_calls=(call("find", {}),))
    assert whys(name, unknown, request(tools=tools)) == ["it calls a tool that was not declared"]


def test_only_the_name_of_a_tool_is_looked_at() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"required": ["a"]}}}]
    broken = Choice(tool_calls=(call("f", text="{"),))
    assert whys("tool_known", broken, request(tools=tools)) == []
    assert whys("tools_valid", broken, request(tools=tools)) != []


def test_every_check_has_a_line_that_says_when_it_passes() -> None:
    assert all((check.__doc__ or "").strip() for check in CHECKS.values())
