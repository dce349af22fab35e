"""The language of a text: by its script, and for Latin letters by its most common words.

Only a clear case is one: a short text, code or a formula is in no language, and passes.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.chat import ChatRequest, Choice
from gateway.core.checks.conversation import Remembered, texts_by_role
from gateway.core.checks.language_names import names_language
from gateway.core.checks.thoughts import begins_with_thoughts, without_thoughts
from gateway.core.scripts import letters_of

STAGES: Final = (150, 400, 1_000)
"""Characters after which the beginning is looked at; the last is all that is read of a text."""

_STOP_WORDS: Final[Mapping[str, str]] = {
    "en": "the of and to is that it was for with are this be have from which you not an by as on"
    " at or we they what there their has been would if he she can will each were how than",
    "de": "der die das und ist nicht ein eine zu den von mit sich auf für dem im auch es wird sind"
    " wir ich sie aus bei nach oder wenn haben einer",
    "fr": "le la les des et est une un du dans que qui pour pas sur avec ce il sont par au vous"
    " nous je plus cette ou mais être",
    "es": "el la los las y es de que en un una por con para no se del su como más lo al este pero"
    " son está usted",
    "it": "il la gli le e è di che un una per con non del della si sono nel come più anche questo"
    " ma ha essere alla",
    "pt": "o a os as e é de que um uma por com para não do da em se no na mais como são dos você"
    " está ao",
    "nl": "de het een en van is dat niet op te voor met zijn er aan ook als bij maar wordt deze"
    " naar of ik je wij",
    "pl": "i w na z do nie że się jest to jak dla przez oraz po ale od są tym być który może",
    "sv": "och att det som en är av för på med inte den till har de ett om men kan från jag",
    "da": "og at det som en er af for på med ikke den til har de et om men kan fra jeg",
    "tr": "ve bir bu için ile de da olarak olan daha çok gibi ne ama en kadar değil sonra",
    "cs": "a je se na v že to s z do jako pro ale si by tak jsou od aby není",
    "sr": "je se da su na za od kao koji što nije ili ali će bi samo biti može ako kada sve",
    "id": "yang dan di dengan untuk dari ini itu pada adalah tidak dalam akan ke ada juga oleh",
    "vi": "là và của có không được cho trong một những các với người này đã để khi về",
}
_OF_SCRIPT: Final[Mapping[str, tuple[str, ...]]] = {
    "cyrillic": ("ru", "uk", "bg", "sr", "be", "mk", "kk"),
    "greek": ("el",),
    "arabic": ("ar", "fa", "ur"),
    "hebrew": ("he", "yi"),
    "devanagari": ("hi", "mr", "ne"),
    "bengali": ("bn", "as"),
    "tamil": ("ta",),
    "thai": ("th",),
    "kana": ("ja",),
    "hangul": ("ko",),
    "han": ("zh",),
    "latin": tuple(_STOP_WORDS),
}
_CHINESE: Final = frozenset(
    "的是了也你您她它吗呢吧啊很那该这们说时过还从对让给个为么样与东车长门问间业应发实现动经产进见关开种电认话语"
    "书买卖张华习报线统级组约结网联选远运连达边处备头师带帮广這們說沒麼嗎讓從對與唔嘅咗佢哋啲"
)
"""Letters that are frequent in Chinese, simplified or not, and rare in Japanese."""
_OF_SO_MANY: Final = 25
"""One of so many letters, at least, is one of these in nearly any Chinese text."""
_HAN_ALONE: Final = frozenset({"ja", "zh"})
_SCRIPT_OF: Final = {code: name for name, codes in _OF_SCRIPT.items() for code in codes}
LANGUAGES: Final = tuple(sorted(_SCRIPT_OF))

_NOT_PROSE: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\$\$?[^$\n]*\$\$?", re.DOTALL
)
_WORD: Final = re.compile(r"[^\W\d_]+")
_PARTS: Final = re.compile(
    r"\n|[\"\u201c\u201e\u00ab\u300c][^\"\u201c\u201d\u201e\u00ab\u00bb\u300d\n]{20,}[\"\u201c\u201d\u00bb\u300d]"
)
"""What divides a message: lines, and quotations of some length."""
_LOOKED_THROUGH: Final = 20_000
"""Characters of a message in which a language may be named."""
_MOST_RULES: Final = 100
"""System messages. To read more takes seconds: then any language passes."""
_LEAST_LETTERS: Final = 12
_LEAST_WORDS: Final = 5
_FEW_WORDS: Final = 3
"""Enough to let a text pass that has no more of any other language."""
_LEAST_KINDS: Final = 3
_CLEARLY: Final = 2.5
"""So many times as many stop words must a text have of another language as of its own."""
_WORDS_OF: Final = {code: frozenset(words.split()) for code, words in _STOP_WORDS.items()}
_COUNTED: Final = {
    word: tuple(code for code, words in _WORDS_OF.items() if word in words)
    for words in _STOP_WORDS.values()
    for word in words.split()
    if len(word) > 1  # single letters stand for numbers, answers and propositions
}

_ASKS: Final[Mapping[str, str]] = {
    "en": "summarize summarise summary explain describe rewrite extract classify fix please",
    "de": "erkläre fasse zusammen zusammenfassung bitte diesen dieses folgenden",
    "fr": "résume résumez explique expliquez texte",
    "es": "resume resumen explica texto",
    "it": "riassumi spiega testo",
    "pt": "resuma explique texto",
    "nl": "vat samen samenvatting leg tekst",
}
"""Words in front of a text that the user asks about: often the only ones of the user's own."""
_OF_WORD: Final = {
    word: tuple(
        code for code in _WORDS_OF if word in {*_WORDS_OF[code], *_ASKS.get(code, "").split()}
    )
    for word in {*_COUNTED, *" ".join(_ASKS.values()).split()}
}


def language(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The text is in the configured language, or that of the request, judged by its script and
    its most common words.
    """
    text = choice.text or ""
    wanted = expected(request, options) if text else frozenset()
    if not wanted:
        return None
    if begins_with_thoughts(text):  # in any language
        text = without_thoughts(text)
    for size in STAGES:
        if len(text) < size:
            break
        verdict = at_stage(text, size, wanted)
        if verdict is not None:
            return verdict or None
    else:
        return None
    found = _languages(text)
    return _why(wanted) if found and not found & wanted else None


def at_stage(text: str, size: int, wanted: frozenset[str]) -> str | None:
    """What so much of the beginning decides: why it fails, "" that it passes, None nothing yet.

    At the last stage it is one of the first two.
    """
    found = _languages(text[:size])
    if found:
        return "" if found & wanted else _why(wanted)
    likely = size == STAGES[-1] or _languages(text[:size], _FEW_WORDS) & wanted
    return "" if likely else None


def expected(request: ChatRequest, options: Mapping[str, Any]) -> frozenset[str]:
    """The languages that an answer may be in; none when any will do.

    Without an option: that of the last question, and of the first message, which may be the
    owner's; any, where the request names a language.
    """
    configured = options.get("language")
    if isinstance(configured, str):
        return frozenset((configured,)) & frozenset(LANGUAGES)
    return _expected(bytes(request.fields.get("messages", b"[]")))


def _read_expected(messages: bytes) -> frozenset[str]:
    conversation = texts_by_role(messages)
    texts = [text for role, text in conversation if role == "user"]
    ruled = [text for role, text in conversation if role in ("system", "developer")]
    if not texts or len(ruled) > _MOST_RULES:
        return frozenset()
    if any(names_language(text[:_LOOKED_THROUGH]) for text in (*ruled, texts[-1])):
        return frozenset()
    own = _languages(texts[-1][-STAGES[-1] :]) or _languages(texts[-1][: STAGES[-1]])
    if own and _is_about_another(texts[-1], own):
        return frozenset()
    return own.union(*(_languages(text[: STAGES[-1]]) for text in ruled)) if own else own


_expected: Final = Remembered(_read_expected, 64)


def _is_about_another(text: str, own: frozenset[str]) -> bool:
    """Whether most of a message may be a text that the user asks about: what stands before it,
    behind it or around a quotation has words or letters of another language, and none of its own.
    """
    script = next((_SCRIPT_OF[code] for code in sorted(own) if code not in _WORDS_OF), "latin")
    if script != "latin" and len(_COUNTED.keys() & set(_words(text[:_LOOKED_THROUGH]))) > 1:
        return True
    ends = f"{text[: STAGES[-1]]}\n{text[-STAGES[-1] :]}"
    parts = [part for part in _PARTS.split(_NOT_PROSE.sub(" ", ends)) if _WORD.search(part)]
    return any(_differs(part, script, own) for part in (parts[:1] + parts[-1:]))


def _differs(part: str, script: str, own: frozenset[str]) -> bool:
    scripts = letters_of(part).keys()
    if script not in scripts and (script != "kana" or "han" not in scripts):
        return True
    known = [_OF_WORD[word] for word in _words(part) if word in _OF_WORD]
    return script == "latin" and bool(known) and not any(own.intersection(each) for each in known)


def _words(text: str) -> list[str]:
    return _WORD.findall(_NOT_PROSE.sub(" ", text).lower())


def _why(wanted: frozenset[str]) -> str:
    return f"it is not in {' or '.join(sorted(wanted)[:3])}"


def _languages(text: str, least: int = _LEAST_WORDS) -> frozenset[str]:
    """The languages that a text may be in; none when nothing is clear."""
    prose = _NOT_PROSE.sub(" ", text)
    script = _script(prose)
    if script is None:
        return frozenset()
    if script == "han" and not _is_chinese(prose):  # Japanese names and titles have no kana
        return _HAN_ALONE
    if script != "latin":
        return frozenset(_OF_SCRIPT[script])
    return _latin(_WORD.findall(prose.lower()), least)


def _is_chinese(text: str) -> bool:
    """Of a text that is mostly in Han letters."""
    found = [letter for letter in text if letter in _CHINESE]
    frequent = len(found) * _OF_SO_MANY >= letters_of(text)["han"]
    return frequent and len(set(found)) >= _LEAST_KINDS


def _script(text: str) -> str | None:
    """The script that most letters are of, when there are enough; None where two are about even."""
    counts = letters_of(text)
    letters = sum(counts.values())
    if letters < _LEAST_LETTERS:
        return None
    kana, han = counts.get("kana", 0), counts.get("han", 0)
    if kana and kana * 8 >= kana + han:  # Japanese is written in both
        counts["kana"], counts["han"] = kana + han, 0
    best = max(counts, key=lambda name: counts[name] * (3 if name != "latin" else 1))
    # A few names, terms or symbols in Latin letters are in any text, and a quotation may be.
    share = counts[best] / letters
    return best if share >= (0.8 if best == "latin" else 0.4) else None


def _latin(words: list[str], least: int) -> frozenset[str]:
    """The languages whose stop words a text has clearly more of than of all others."""
    hits: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for word, times in Counter(words).items():
        for code in _COUNTED.get(word, ()):
            hits[code] += times
            kinds[code] += 1
    if not hits:
        return frozenset()
    best, most = hits.most_common(1)[0]
    if most < least or kinds[best] < _LEAST_KINDS or most * 12 < len(words):
        return frozenset()
    return frozenset(code for code, number in hits.items() if number * _CLEARLY >= most) | {best}
