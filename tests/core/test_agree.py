"""When two answers mean the same."""

import time

import msgspec
import pytest
from msgspec import Raw

from gateway.core.agree import MODES, Agreement, key_of
from gateway.core.agree.groups import same
from gateway.core.chat import Choice, Completion, ToolCall

CALL = '{"city": "Rome", "days": 3}'


def said(text: str) -> Completion:
    return Completion((Choice(text=text),))


def called(*calls: tuple[str, str]) -> Completion:
    tools = tuple(ToolCall(f"id{n}", name, arguments) for n, (name, arguments) in enumerate(calls))
    return Completion((Choice(text="", tool_calls=tools),))


@pytest.mark.parametrize(
    ("mode", "one", "other"),
    [
        ("number", "#### 42", "So she has 41 + 1 = 42 apples."),
        ("number", "The answer is $1,234.50.", "It costs 1234.5 dollars"),
        ("number", "The answer is 7. (We checked 3 cases.)", r"\boxed{7}"),
        ("number", '{"reasoning": "3 and 4", "answer": "7"}', "the total is 7"),
        ("choice", "B", "The answer is (B)."),
        ("choice", "(c) because", '{"answer": "C"}'),
        ("label", "Spam.", " spam "),
        ("label", '{"label": "Spam"}', "SPAM"),
        (
            "json",
            '{"a": 1, "b": [2.0, "X"]}',
            '```json\n{"b": [2, "x."], "a": 1.0, "c": null}\n```',
        ),
        ("auto", '{"reasoning": "long", "answer": "42"}', '{"reasoning": "other", "answer": 42.0}'),
        ("auto", "Paris", "paris."),
        ("auto", "Spam", '{"label": "SPAM"}'),
        ("auto", "A long way. " * 9 + "The answer is (H).", "The answer is H"),
        ("auto", "A long way. " * 9 + r"So it is \boxed{\text{B}}", "**Answer:** B"),
        ("auto", "#### 18", "A long way. " * 9 + "The answer is: $18."),
        ("auto", '{"answer": "[ (5, 1), (\'a b\', 2)]"}', '{"answer": "[(5,1), (\\"a b\\",2)]"}'),
        ("auto", '{"answer": "[1, 2]"}', '{"answer": [1, 2]}'),
        ("auto", '{"answer": "\'w)\'"}', '{"answer": "w)"}'),
        ("number", "The total is 20 * 24 = 480.", "480"),
        ("number", "The total of 62 toys less 48 is 14 balls.", "The answer is 62 - 48 = 14."),
        ("choice", "A way to see it. The answer is (D).", "We find D. Answer: **D**"),
        ("choice", "B because", r"It follows that \boxed{B}"),
        ("auto", '{"a": 1}', '{"a": 1.0, "b": ""}'),
        ("auto", r"So it is \boxed{\frac{1}{2}}.", r"\boxed{{\frac{1}{2}}}"),
        ("auto", r"So it is \boxed{ 42 }.", "42"),
        ("auto", "The answer is Dr. Smith. He left.", "Answer: Dr. Smith"),
        ("auto", "The answer is \u22125.", "-5"),
        ("auto", '{"result": "ok", "reasoning": "long"}', '{"Result": "OK", "why": "other"}'),
        ("number", "Die Antwort lautet 3,5 Euro.", "3.5"),
        ("number", "Es kostet 1.234,50 Euro.", "It costs 1,234.5 euros."),
        ("number", "It costs 1,00,000 rupees.", "100000"),
        ("number", r"The answer is \frac{1}{2}.", "#### 1/2"),
        ("number", "#### 2 1/2", "The answer is 2.5"),
        ("number", r"The answer is 1.5 \times 10^{3}", "Answer: 1.5e3"),
        ("number", "The answer is 1.5 \u00d7 10^\u22123", "0.0015"),
        ("number", "The answer is 10^6.", "Answer: 10\u2076 or 1,000,000, which is 1e6"),
        ("number", "It is -10^{-3} m.", "-0.001"),
        ("number", "The answer is 2^{10}", "#### 2 ^ 10"),
        ("number", "1\u00bd", "-1 + 2\u00bd = 1.5"),
        ("number", "\u2212\u00bd", "-1/2"),
        ("number", "The answer is $2.5 million.", "2,500,000"),
        ("number", "An area of 25 m\u00b2", "25"),
        ("auto", "The answer is .75.", "0.75"),
        ("label", "$ 5.", "5"),
        ("label", ".5 mg", "0.5 mg"),
        ("label", "A-", "a-."),
        ("label", "well - yes", "well, yes"),
        ("json", '{"dose": ".5"}', '{"dose": 0.5}'),
        ("label", "$18", "18"),
        ("label", "**Spam**", "`spam`"),
        ("label", "x > 5", "X>5."),
        ("label", "2  1 / 2", "2 1/2"),
        ("json", '{"on": "2024/01/05"}', '{"on": "2024-01-05"}'),
        ("json", '{"q": "SELECT a FROM b WHERE c > 5;"}', '{"q": "select a from b where c>5"}'),
    ],
)
def test_texts_that_mean_the_same(mode: str, one: str, other: str) -> None:
    keys = [key_of(said(text), Agreement(mode)) for text in (one, other)]
    assert None not in keys
    assert same(*keys)


@pytest.mark.parametrize(
    ("mode", "one", "other"),
    [
        ("number", "#### 42", "#### -42"),
        ("choice", "A", "B"),
        ("label", "spam", "ham"),
        ("json", '{"a": [1, 2]}', '{"a": [2, 1]}'),
        ("json", '{"a": true}', '{"a": 1}'),
        ("json", '{"a": "x"}', '{"b": "x"}'),
        ("auto", '{"answer": "1"}', '{"answer": "2"}'),
        ("auto", '{"answer": "mGITr"}', '{"answer": "mgItR"}'),
        ("auto", '{"answer": "w))"}', '{"answer": "w)"}'),
        ("auto", '{"answer": "a  b"}', '{"answer": "a b"}'),
        ("auto", '{"answer": " a"}', '{"answer": "a"}'),
        ("auto", """{"answer": "' 5'"}""", """{"answer": "'5'"}"""),
        ("auto", '{"answer": "00019"}', '{"answer": "19"}'),
        ("auto", "['+', '9']", "['9', '+']"),
        ("auto", "The answer is (H).", "The answer is (I)."),
        ("choice", "The answer is A hollow one, so C. The answer is C", "Answer: A"),
        ("auto", "The answer is Dr. Smith.", "The answer is Dr. Jones."),
        ("auto", "The answer is St. Louis.", "The answer is St. Paul."),
        ("auto", "Answer: J. K. Rowling", "Answer: J. K. Simmons"),
        ("auto", "Answer: U.S. Steel", "Answer: U.S. Bank"),
        ("auto", r"So \boxed{\frac{1}{2}}", r"So \boxed{\frac{1}{3}}"),
        ("auto", r"So \boxed{x^{10}+1}", r"So \boxed{x^{10}-1}"),
        ("auto", '{"currency": "USD", "value": 5}', '{"currency": "EUR", "value": 5}'),
        ("number", "The answer is 1/2", "The answer is 1/3"),
        ("number", r"The answer is \dfrac{1}{2}", r"The answer is \dfrac{1}{3}"),
        ("number", "Die Antwort lautet 3,5 Euro.", "Die Antwort lautet 4,5 Euro."),
        ("number", "It costs 1,00,000 rupees.", "It costs 2,00,000 rupees."),
        ("number", "The answer is 1.5e3", "The answer is 1.5e4"),
        ("number", "The answer is \u22125", "The answer is 5"),
        ("number", "The answer is 10^6", "The answer is 10^9"),
        ("number", "The answer is 10\u2076 m", "The answer is 10\u2079 m"),
        ("number", "The answer is 2^10", "The answer is 2^20"),
        ("number", "9^9999999999", "9^99999999999"),
        ("number", "1\u00bd", "1"),
        ("number", "The answer is $5 million.", "The answer is $5 billion."),
        ("auto", "The answer is .75.", "The answer is 75."),
        ("auto", "$.50", "$50"),
        ("label", ".5", "5"),
        ("label", ".5 mg", "5 mg"),
        ("label", "A-", "A"),
        ("json", '{"dose": ".5"}', '{"dose": "5"}'),
        ("label", "<=50K", ">50K"),
        ("label", "+", "-"),
        ("label", "\U0001f44d", "\U0001f44e"),
        ("label", "C++", "C"),
        ("label", "-1", "1"),
        ("json", '{"e": "12*4"}', '{"e": "12/4"}'),
        ("json", '{"q": "a > 5"}', '{"q": "a < 5"}'),
        ("json", '{"zip": "02139"}', '{"zip": "2139"}'),
        ("json", '{"path": "/etc"}', '{"path": "etc"}'),
        ("json", '{"cups": "2 1/2"}', '{"cups": "21/2"}'),
        ("label", "2 1/2", "21/2"),
        ("label", "a b + c", "ab + c"),
        ("label", "A \u222a B", "A \u2229 B"),
        ("label", "A \u2192 B", "A \u2190 B"),
        ("label", "\u00acA", "A"),
        ("tools", "no call", "no call"),
    ],
)
def test_texts_that_do_not(mode: str, one: str, other: str) -> None:
    keys = [key_of(said(text), Agreement(mode)) for text in (one, other)]
    assert same(*keys) is (mode == "tools"), "who calls nothing agrees on that"


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("number", "no idea"),
        ("choice", "none of them, really"),
        ("choice", "We cannot say: the answer is a hollow sphere"),
        ("auto", '{"answer": ""}'),
        ("auto", "No way to say what the answer to such a question would have to be at all."),
        ("label", "x" * 100),
        ("json", "no"),
        ("auto", "a long text " * 20),
        ("label", ""),
        ("auto", "A long way. " * 9 + r"\boxed{\frac{1}{2"),
    ],
)
def test_what_cannot_be_compared(mode: str, text: str) -> None:
    assert key_of(said(text), Agreement(mode)) is None


def test_several_choices_cannot_be_compared() -> None:
    assert key_of(Completion((Choice(text="1"), Choice(1, text="1"))), Agreement()) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([("f", CALL)], [("f", '{"days": 3.0, "city": "rome."}')], True),
        (
            [("f", CALL)],
            [("f", '{"city": "Rome", "days": 3, "unit": "", "more": null, "l": []}')],
            True,
        ),
        ([("f", CALL), ("g", "{}")], [("g", ""), ("f", CALL)], True),
        ([("f", CALL)], [("f", '{"city": "Rome", "days": 4}')], False),
        ([("f", CALL)], [("g", CALL)], False),
        ([("f", CALL)], [("f", CALL), ("f", CALL)], False),
        ([("f", CALL)], [], False),
        ([("f", "{broken")], [("f", "{broken")], False),
        ([("f", '{"on": false}')], [("f", "{}")], False),
        ([("f", '{"n": 0}')], [("f", "{}")], False),
        ([("f", '{"id": 9007199254740992}')], [("f", '{"id": 9007199254740993}')], False),
        ([("f", '{"id": 9007199254740993}')], [("f", '{"id": "9007199254740993"}')], True),
        ([("f", '{"n": 1e20}')], [("f", '{"n": 100000000000000000000}')], True),
        ([("f", f'{{"n": {"9" * 400}}}')], [("f", f'{{"n": {"9" * 400}}}')], True),
    ],
)
@pytest.mark.parametrize("mode", ["tools", "auto"])
def test_tool_calls(
    mode: str, one: list[tuple[str, str]], other: list[tuple[str, str]], same: bool
) -> None:
    keys = [key_of(called(*calls), Agreement(mode)) for calls in (one, other)]
    assert (keys[0] is not None and keys[0] == keys[1]) == same


@pytest.mark.parametrize("mode", ["tools", "auto"])
def test_a_function_as_it_was_once_called_is_a_call(mode: str) -> None:
    keys = []
    for city in ("Rome", "Rome", "Paris"):
        told = {"name": "f", "arguments": f'{{"city": "{city}"}}'}
        extra = {"function_call": Raw(msgspec.json.encode(told))}
        keys.append(key_of(Completion((Choice(extra=extra),)), Agreement(mode)))
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] == key_of(called(("f", '{"city": "rome"}')), Agreement(mode))


@pytest.mark.parametrize(
    ("pointers", "one", "other", "same"),
    [
        (("/answer",), '{"answer": 1, "why": "a"}', '{"answer": 1.0, "why": "b"}', True),
        (("/a/0", "/b~1c"), '{"a": [1, 2], "b/c": "x"}', '{"a": [1, 3], "b/c": "X"}', True),
        (("/answer",), '{"answer": 1}', '{"answer": 2}', False),
        (("/answer",), '{"other": 1}', '{"other": 1}', False),
    ],
)
def test_pointers(pointers: tuple[str, ...], one: str, other: str, same: bool) -> None:
    keys = [key_of(said(text), Agreement("json", pointers)) for text in (one, other)]
    assert (keys[0] is not None and keys[0] == keys[1]) == same


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\ud800",
        "1e999",
        "٣",
        "9" * 400,
        "-" + "9" * 400 + ".5",
        "9" * 5000,
        '{"answer": ' + "9" * 400 + "}",
        "-.0",
        "1/0",
        f"{'9' * 400}/3",
        f"1 {'9' * 5000}/3",
        f"{'9' * 400},5",
        "1.5e999",
        "\\boxed{" * 999,
        "a " * 9_000 + "9",
        "answer is " * 9_000,
        "a-" * 30 + "!?",
        "[[[[" * 999,
        "NaN",
    ],
)
def test_no_answer_breaks_it(mode: str, text: str) -> None:
    key_of(said(text), Agreement(mode))
    key_of(called(("f", text)), Agreement(mode))


@pytest.mark.parametrize("of", [",23", "1", "1^", "\u00b2", " \u00bd", ",111 million"])
def test_the_numbers_of_a_long_row_are_looked_for_in_little_time(of: str) -> None:
    """It took 144 s, in which a worker does nothing else."""
    row = said("1" + of * 66_000)
    started = time.process_time()
    assert key_of(row, Agreement("number")) is not None
    assert time.process_time() - started < 2


@pytest.mark.parametrize("row", ["answer" + " " * 50_000, "Answer: " + "|---" * 12_000])
def test_a_choice_behind_a_long_row_of_marks_is_looked_for_in_little_time(row: str) -> None:
    """It took a minute and more."""
    started = time.process_time()
    assert key_of(said(row + "x"), Agreement("choice")) is None
    assert key_of(said(row + "B"), Agreement("choice")) == ("choice", "B")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text", ["answer is: (b)", r"\boxed{(B)}", r"\boxed{\text{(b)}}", "Choice isB", "ANSWER IS B"]
)
def test_how_a_choice_is_stated(text: str) -> None:
    assert key_of(said(f"So it is.\n{text}"), Agreement("choice")) == ("choice", "B")
