"""Answers that say no.

Only the beginning of a text is looked at: a long answer may well say "I cannot" somewhere. Each
language has one expression, chosen by the text's first word, so that most texts cost one look-up.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.core.chat import ChatRequest, Choice

HEAD: Final = 300
"""Characters in which a refusal shows itself."""
_BEFORE: Final = 40
_LONGEST_WORD: Final = 24
_AHEAD: Final = 24
"""More than any expression below looks at behind what it matches."""
_OPENING: Final = re.compile(r"[\s*_#>\"'`\u201c-\u201e\u00ab\u00bb\ufeff]{0,40}")
_FIRST_WORD: Final = re.compile(
    r"[\s*_#>\"'`\u201c-\u201e\u00ab\u00bb\ufeff]{0,40}([^\s,.!:;*]{1,24})"
)
_QUOTED: Final = re.compile(r"[\"\u201c-\u201e\u00ab\u00bb]")
_GOES_ON: Final = re.compile(r"[\"\u201c-\u201e\u00ab\u00bb][^\w\n]{0,3}\w")

_EN_ACT: Final = (
    r"(?:(?:in good (?:conscience|faith)|ethically|directly|fully|legally|safely|be|really"
    r"|actually),? )*"
    r"(?:help(?! (?:but|it|feeling|thinking|wondering|noticing)\b)|assist|aid|provid|fulfil|"
    r"comply|creat|generat|produc|writ|answer|respond|discuss|engag|support|giv|offer|complet|"
    r"continu|participat|shar|disclos|reveal|facilitat|encourag|advis|perform|process|proceed|"
    r"accommodat|satisf|carry out|identify|promot|endors|role-?play|pretend to|"
    r"(?:explain|describe|teach you|walk you through) how to|"
    r"go (?:along|ahead)|do (?:that|this|so|what|it)\b|talk about|tell you how|show you how|"
    r"access|view|display|reproduc|translat|summari)"
)
_EN_CANNOT: Final = (
    r"(?:(?:cannot|can't|can not)(?: (?:and|or) (?:won't|will not))?|won't|will not)"
    r"(?: be able to)?"
    r"|(?:am|are|'m|'re)(?: \w+ly| just)? (?:unable|not (?:able|allowed|permitted|willing|going|"
    r"designed|programmed|authori[sz]ed|in a position)) to"
)
_EN_NO: Final = (
    rf"\b(?:(?:i|we) ?(?:(?:simply |really |just |also |still )?(?:{_EN_CANNOT}) {_EN_ACT}"
    r"|(?:(?:do not|don't|would not|wouldn't) feel|(?:am|'m) not) comfortable"
    r"|do(?: not|n't) think (?:that )?i (?:can|could|should|am able to|'m able to) (?:help|assist)"
    r"|(?:must|have to|need to|will have to|'ll have to|'m going to have to|am going to have to"
    r"|respectfully|politely)"
    r"(?: respectfully| politely)? (?:decline|refuse)\b"
    r"|(?:decline|refuse) to (?:help|assist|answer|provide|write|create|generate)"
    r"|(?:would|'d) (?:rather|prefer) not)"
    r"|(?:that|this|it)(?:'s| is) (?:not )?something (?:that )?(?:i|we) "
    r"(?:can(?!not|'t)[^.]{0,9} (?:help|assist|do)|cannot|can't|won't|am not|'m not)"
    r"|(?:this|that|your) (?:request|content|question|prompt|topic)[^.\n]{0,30} "
    r"(?:violates?|goes against|is against) "
    r"|(?:this|that|it)(?:'s| is| goes| would go| would be) against (?:my|our) "
    r"|my (?:\w+ )?(?:guidelines|programming|polic(?:y|ies))[^.\n]{0,20}"
    r" (?:(?:do(?:es)? not|don't|doesn't) (?:allow|permit) me|prevents? me|prohibits? me)\b)"
)
_EN_OPENERS: Final = (
    r"(?:(?:i|we) ?(?:'m|am|'re|are) (?:\w+ly |very |so )?(?:sorry|afraid)|(?:very |so )?sorry"
    r"|(?:my |our )?(?:sincere )?apologies|(?:i|we) (?:\w+ly )?apologi[sz]e"
    r"|unfortunately|regrettably|no\b|as an? (?:\w+ ){0,3}(?:ai|assistant|model)\b"
    r"|thank you|thanks"
    r"|i (?:understand|appreciate|know|see|recogni[sz]e|hear|aim|want|wish|strive)\b"
    r"|i(?:'m| am) (?:just |only )?an? (?:\w+ ){0,3}(?:ai|assistant|model)\b"
    r"|i(?:'m| am) (?:designed|programmed|trained) to\b"
    r"|i(?:'d| would) (?:love|like|be happy)\b)[^\n]{0,140}?"
)

_LANGUAGES: Final[Mapping[str, tuple[str, str, str]]] = {
    # the first words, or the first character, of a refusal; what it contains; the whole of it:
    # all in lower case
    "en": (
        (
            "i i'm i'd we we're sorry apologies my our very so unfortunately regrettably no"
            " as thank thanks this that that's your it's"
        ),
        "not n't unable decline refuse violate against prevent prohibit",
        rf"(?:{_EN_OPENERS})?(?:{_EN_NO})",
    ),
    "de": (
        "es tut leider entschuldigung ich dabei damit das bedauerlicherweise als",
        "nicht kein",
        (
            r"(?:(?:es )?tut mir [^.!\n]{0,20}?leid|leider|entschuldigung|bedauerlicherweise|als ki"
            r"|als sprachmodell)?[^\n]{0,60}?"
            r"(?:\b(?:(?:kann|darf|werde) ich|ich (?:kann|darf|werde|bin))"
            r" [^.!?,\n]{0,80}?(?:nicht(?! nur)|kein\w*)\b[^.!?,\n]{0,60}?(?:helfen|behilflich|"
            r"unterstützen|beantworten|erfüllen|bereitstellen|erstellen|nachkommen|in der lage|"
            r"bearbeiten|leisten|\btun\b|schreiben)|\bmir (?:leider )?nicht möglich)"
        ),
    ),
    "fr": (
        "je désolé désolée malheureusement navré en",
        "ne",
        (
            r"(?:je suis (?:vraiment )?(?:désolée?|navrée?)|désolée?|navrée?|malheureusement"
            r"|en tant qu)?[^\n]{0,60}?\bje ne (?:peux|puis|suis|saurais|pourrai)"
            r"(?: malheureusement)? pas (?:en mesure de |capable de |autorisée? à )?"
            r"(?:vous |t'|te |y )?(?:aider|assister|répondre(?! avec)|faire (?:ça|cela)"
            r"|fournir|créer|générer|écrire|satisfaire|accéder à (?:cette|votre))"
        ),
    ),
    "es": (
        "lo no lamentablemente disculpa disculpe perdón como siento desafortunadamente",
        "no",
        (
            r"(?:lo siento|siento|lo lamento|lamentablemente|desafortunadamente|disculp[ae]|perdón"
            r"|como (?:ia|modelo|asistente))?[^\n]{0,60}?\bno (?:puedo|podré|me es posible|"
            r"estoy en condiciones de|tengo permitido) (?:\w+ )?(?:ayudar|asistir|proporcionar|"
            r"hacer es[oe]\b|cumplir|responder(?! con)|crear|generar|escribir|ofrecer|participar|"
            r"compartir)"
        ),
    ),
    "it": (
        "mi non purtroppo come spiacente sono",
        "non",
        (
            r"(?:mi dispiace|(?:sono )?spiacente|purtroppo|come (?:ia|modello))?[^\n]{0,60}?"
            r"\bnon (?:posso|sono in grado di|mi è possibile) (?!che\b)(?:\w+ )?(?:aiutar|"
            r"assister|fornir|risponder(?!\w* con)|crear|generar|scriver|soddisfar)"
        ),
    ),
    "pt": (
        "desculpe desculpa lamento sinto infelizmente não como peço",
        "não",
        (
            r"(?:desculp[ae]|peço desculpas?|lamento|sinto muito|infelizmente|como (?:uma )?ia)?"
            r"[^\n]{0,60}?\bnão (?:posso|consigo|poderei|estou autorizado a) (?:\w+ )?(?:ajudar|"
            r"ajudá|auxiliar|fornecer|atender|responder|criar|gerar|escrever|cumprir)"
        ),
    ),
    "nl": (
        "het sorry helaas ik als",
        "niet geen",
        (
            r"(?:het spijt me|sorry|helaas|als ai)?[^\n]{0,60}?\b(?:ik kan|kan ik) [^.!?\n]{0,60}?"
            r"(?:niet(?! wachten)|geen)\b[^.!?\n]{0,40}?"
            r"(?:helpen|beantwoorden|voldoen|verstrekken|geven|maken)"
        ),
    ),
    "ru": (
        "извините простите к я мне сожалею",
        "не",
        (
            r"(?:извините|простите|к сожалению|мне (?:очень )?жаль|сожалею)?[^\n]{0,60}?"
            r"\bя не могу (?:\w+ ){0,2}?(?:помо[чг]|ответить(?! точно)|предоставить"
            r"|выполнить|создать|обсуждать|написать)"
        ),
    ),
    "zh": (
        "抱 很 非 对 對 我 十 作",
        "无 無 不 没",
        (
            r"(?:(?:非常|很|十分)?(?:抱歉|对不起|對不起|遗憾|遺憾)|作为[^,\uff0c\n]{0,20}(?:ai|人工智能|模型|助手))[^\n]{0,20}?"
            r"(?:无法|無法|不能|不便|没有办法|不可以)"
            r"|我(?:无法|無法|不能)(?:提供|协助|協助|帮|幫|回答|满足|滿足|参与|生成|创作)"
        ),
    ),
    "ja": (
        "申 す 恐 そ ご",
        "ません しかね できな",
        (
            r"(?:申し訳|すみません|ごめんなさい|恐れ入りますが|そのご?(?:要望|依頼|質問)|ご(?:要望|依頼|質問))"
            r"[^\n]{0,80}?(?:できません|できかね|いたしかね|致しかね|しかねます|お答えできな)"
        ),
    ),
    "ko": (
        "죄 미 저",
        "없 어렵",
        (
            r"(?:죄송|미안)[^\n]{0,80}?(?:[드줄]릴? 수 없|할 수 없|수 없습니다|어렵습니다)"
            r"|저는[^.\n]{0,80}?(?:드릴 수 없|도와[드줄]릴? 수 없)"
        ),
    ),
}


FILTERED: Final = "it was stopped by the provider's content filter"
MARKED: Final = "it is marked as a refusal"
REFUSES: Final = "it begins as a refusal"


class _Refusal(Struct, frozen=True):
    contains: tuple[str, ...]
    """It has one of these, which is the cheap question to ask first."""
    whole: re.Pattern[str]


def _by_first_word() -> dict[str, tuple[_Refusal, ...]]:
    table: dict[str, tuple[_Refusal, ...]] = {}
    for words, contains, source in _LANGUAGES.values():
        refusal = _Refusal(tuple(contains.split()), re.compile(source))
        for word in words.split():
            for key in {word, word.replace("'", "\u2019")}:
                table[key] = (*table.get(key, ()), refusal)
    return table


_BY_FIRST_WORD: Final = _by_first_word()


def not_refused(choice: Choice, request: ChatRequest, options: Mapping[str, Any]) -> str | None:
    """The answer was not filtered and is not a refusal, by its fields or its first words."""
    if choice.finish == "content_filter":
        return FILTERED
    if choice.refusal:
        return MARKED
    if choice.text and not choice.tool_calls and begins_as_refusal(choice.text):
        return REFUSES
    return None


def begins_as_refusal(text: str) -> bool:
    """Whether the first HEAD characters say no. More text after them changes nothing."""
    first = _FIRST_WORD.match(text)
    if first is None:
        return False
    refusals = _refusals(first[1])
    if not refusals:
        return False
    head = _head(text, first.start(1))
    for refusal in refusals:
        if any(sign in head for sign in refusal.contains) and refusal.whole.match(head):
            # Of somebody's refusal that is quoted there is more to say.
            return not (_quoted(text, first) and _GOES_ON.search(head))
    return False


def prefix_refuses(text: str) -> bool | None:
    """What is known of `begins_as_refusal` for any text that begins with this one."""
    opening = _OPENING.match(text)
    before = opening.end() if opening else 0
    if before == len(text) and before < _BEFORE:
        return None
    first = _FIRST_WORD.match(text)
    if first is None:
        return None if before == len(text) else False
    if first.end() == len(text) and len(first[1]) < _LONGEST_WORD:
        return None
    refusals = _refusals(first[1])
    head = _head(text, first.start(1))
    for refusal in () if _quoted(text, first) else refusals:
        if any(sign in head for sign in refusal.contains):
            found = refusal.whole.match(head)
            if found is not None and found.end() + _AHEAD <= len(head):
                return True
    whole = len(text) - first.start(1) >= HEAD
    return begins_as_refusal(text) if whole or not refusals else None


def _refusals(first_word: str) -> tuple[_Refusal, ...]:
    word = first_word.lower()
    return _BY_FIRST_WORD.get(word) or _BY_FIRST_WORD.get(word[0]) or ()


def _quoted(text: str, first: re.Match[str]) -> bool:
    """Whether a quotation mark stands before its first word."""
    return _QUOTED.search(text, 0, first.start(1)) is not None


def _head(text: str, start: int) -> str:
    return text[start : start + HEAD].lower().replace("\u2019", "'")
