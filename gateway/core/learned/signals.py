"""What a request looks like, as a few numbers: what the choice of the first rung is learned from.

They are read from the text as it is, by counting: no tokenizer and no embedding. The same code
reads them of live requests and of recorded ones. Each name has a version: whoever changes what a
number means gives it another, so that weights of the old one are refused and not misread.
"""

from collections.abc import Iterator, Mapping
from itertools import repeat
from math import log1p
from typing import Any, Final

from gateway.core.chat import ChatRequest

NAMES: Final = (
    "words.1",
    "lines.1",
    "questions.1",
    "after_question.1",
    "digits.1",
    "decimals.1",
    "capitals.1",
    "word_length.1",
    "distinct.1",
    "negations.1",
    "quantities.1",
    "function_words.1",
    "first_person.1",
    "longest_line.1",
    "foreign.1",
    "code.1",
    "context.1",
    "messages.1",
    "tools.1",
    "schema.1",
)
"""Counts are log(1 + n); shares are of the words, or of the bytes for digits and foreign letters.
`context` is what was said beside the text that is read."""
LAYOUT: Final = 1
"""The version of a record's layout, its first number: it changes whenever NAMES do."""
_READ: Final = 1_000
"""Bytes from the end of the last user message: there the question is."""
_CODE_LINES: Final = 2
_PARTS: Final = 10_000

_NEGATION, _QUANTITY, _FUNCTION, _PERSON = range(1, 5)
_WORDS: Final[Mapping[int, str]] = {
    _NEGATION: """not except never no none neither nor cannot least false incorrect wrong without
        isn't don't doesn't can't won't""",
    _QUANTITY: """than each every per half twice thrice times total rest remaining left more less
        fewer then after before if when much many most first second third""",
    _FUNCTION: """the of a an and to in is that for it as was with be by on are this which or from
        at""",
    _PERSON: "i you my your me we our us mine",
}
_LEXICON: Final[Mapping[bytes, int]] = {
    word.encode(): kind for kind, words in _WORDS.items() for word in words.split()
}


def _kind(byte: int) -> int:
    """A letter for each kind of byte: what is counted is runs of these."""
    char = chr(byte)
    if byte >= 0x80:
        return ord("u")
    for kind, found in (("a", char.islower()), ("A", char.isupper()), ("0", char.isdigit())):
        if found:
            return ord(kind)
    return {"\n": ord("\n"), " ": ord(" "), "\t": ord(" "), ".": ord(".")}.get(char, ord("s"))


def _letter(byte: int) -> int:
    """Lower case; whatever is in no word is a space."""
    char = chr(byte)
    return ord(char.lower()) if byte >= 0x80 or char.isalnum() or char == "'" else ord(" ")


_KINDS: Final = bytes(map(_kind, range(256)))
_LETTERS: Final = bytes(b if b >= 0x80 else _letter(b) for b in range(256))


def read_signals(request: ChatRequest) -> tuple[float, ...]:
    """The numbers of a request, in the order of NAMES. Whatever it holds, they are finite."""
    messages = request.json("messages")
    text, size = _last_question(messages)
    beside = size - len(text)
    text = text[-_READ:]
    fields = request.fields
    tools = request.json("tools") if "tools" in fields else None
    return (
        *_of_text(text),
        log1p(beside),
        log1p(len(messages)),
        log1p(len(tools)) if isinstance(tools, list) else 0.0,
        1.0 if "response_format" in fields else 0.0,
    )


def kept(signals: tuple[float, ...]) -> tuple[int, ...]:
    """As they stand in a usage record: whole numbers of ten-thousandths, after the layout's."""
    return (LAYOUT, *[int(each * _PARTS) for each in signals])


def of_record(stored: tuple[int, ...]) -> tuple[float, ...] | None:
    """From a usage record; None where they are of another layout."""
    if len(stored) != len(NAMES) + 1 or stored[0] != LAYOUT:
        return None
    return tuple(each / _PARTS for each in stored[1:])


def _of_text(text: bytes) -> tuple[float, ...]:
    kinds = text.translate(_KINDS)
    found = text.translate(_LETTERS).split()
    size, words = len(text) or 1, len(found) or 1
    marks = bytes(map(_LEXICON.get, found, repeat(0)))
    letters = kinds.count(b"a") + kinds.count(b"A")
    lines = text.split(b"\n")
    return (
        log1p(len(found)),
        log1p(len(lines) - 1),
        log1p(text.count(b"?")),
        log1p(len(text) - text.rfind(b"?") - 1),
        kinds.count(b"0") / size,
        log1p(kinds.count(b"0.0")),
        (kinds.count(b" A") + kinds.count(b"\nA")) / words,
        letters / words,
        len(set(found)) / words,
        marks.count(_NEGATION) / words,
        marks.count(_QUANTITY) / words,
        marks.count(_FUNCTION) / words,
        marks.count(_PERSON) / words,
        log1p(max(map(len, lines))),
        kinds.count(b"u") / size,
        1.0 if _has_code(text) else 0.0,
    )


def _has_code(text: bytes) -> bool:
    if b"```" in text:
        return True
    if b"\n" not in text:
        return False
    return text.count(b";\n") + text.count(b"{\n") + text.count(b"}\n") >= _CODE_LINES


def _last_question(messages: Any) -> tuple[bytes, int]:
    """The last user message's text, as UTF-8, and the size of all texts."""
    last, size = b"", 0
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, Mapping):
            continue
        text = "\n".join(_texts(message.get("content"))).encode()
        size += len(text)
        if message.get("role") == "user":
            last = text
    return last, size


def _texts(content: Any) -> Iterator[str]:
    """The texts of a message's content: one, or those among its parts."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, Mapping) else None
        if isinstance(text, str):
            yield text
