"""How a refusal begins, language by language."""

from collections.abc import Mapping
from typing import Final

_EN_ACT: Final = (
    r"(?:(?:in good (?:conscience|faith)|ethically|directly|fully|completely|entirely|legally"
    r"|safely|be|really|actually),? )*"
    r"(?:help(?! (?:but|it|feeling|thinking|wondering|noticing)\b)|assist|aid|provid|fulfil|"
    r"comply|creat|generat|produc|writ|answer|respond|discuss|engag|support|giv|offer|complet(?!ely)|"
    r"continu|participat|shar|disclos|reveal|facilitat|encourag|advis|perform|process|proceed|"
    r"accommodat|satisf|carry out|promot|endors|role-?play|pretend to|"
    r"identify(?! (?:an?|any|the)\b(?! (?:real |specific )?"
    r"(?:people|person|individ|face|man|woman|celebr|actor|subject)))|"
    r"(?:explain|describe|teach you|walk you through) how to|"
    r"go (?:along|ahead)|do (?:that|this|so|what|it)\b|talk about|tell you how|show you how|"
    r"access|view|display|translat|summari"
    r"|reproduc(?!\w{0,3} (?:the|this|that|your|any) (?:bug|crash|error|failure|issue|problem)))"
)
# In mathematics and code "we" cannot write, create or satisfy many a thing.
_EN_OURS: Final = (
    r"(?:(?:be|directly|fully|legally|safely|really|actually),? )*"
    r"(?:help|assist|aid|provid|fulfil|comply|answer|respond|discuss|engag|support|offer|participat"
    r"|shar|disclos|facilitat|encourag|advis|accommodat|promot|endors"
    r"|proceed(?= with (?:this|that|your|such|the request)|[.!])"
    r"|process (?:this|that|your)|do (?:that|this)\b)"
)
_EN_CANNOT: Final = (
    r"(?:(?:cannot|can't|can not)(?: (?:and|or) (?:won't|will not))?|won't|will not)"
    r"(?: be able to)?"
    r"|(?:am|are|'m|'re)(?: \w+ly| just)? (?:unable|not (?:able|allowed|permitted|willing|going|"
    r"designed|programmed|authori[sz]ed|in a position)) to"
)
_EN_SIMPLY: Final = "(?:simply |really |just |also |still )?"
_EN_RULES: Final = (
    r"(?:(?:core|own|content|usage|use|safety|ethical|ethics|moral|strict|internal|community) )*"
    r"(?:guidelines|programming|polic(?:y|ies)|principles|values|rules|terms)\b"
)
# What a browser or a network refuses is no refusal of ours.
_EN_NOT_WEB: Final = r"(?!(?:cors|csp|security|network|firewall|iam|access|referrer)\b)"
_EN_NO: Final = (
    rf"\b(?:i ?{_EN_SIMPLY}(?:{_EN_CANNOT}) {_EN_ACT}|we ?{_EN_SIMPLY}(?:{_EN_CANNOT}) {_EN_OURS}"
    r"|(?:i|we) ?(?:"
    r"(?:(?:do not|don't|would not|wouldn't) feel|(?:am|'m) not) comfortable"
    r"|do(?: not|n't) think (?:that )?i (?:can|could|should|am able to|'m able to) "
    r"(?:help(?! (?:but|it|feeling|thinking|wondering|noticing)\b)|assist)"
    r"|(?:must|have to|need to|will have to|'ll have to|(?:'m|am) going to(?: have to)?"
    r"|respectfully|politely)"
    r"(?: respectfully| politely)? (?:decline|refuse)\b"
    r"|(?:decline|refuse) to (?:help|assist|answer|provide|write|create|generate)"
    rf"|(?:would|'d) (?:rather|prefer) not(?: to)?(?: {_EN_ACT}| (?:say|comment|continue"
    r"|g(?:o|et) into|go there)\b|[.!]?(?=\n|$)))"
    r"|(?:that|this|it)(?:(?:'s| is) not| isn't) something (?:that )?(?:i|we) "
    r"can(?!not|'t)[^.]{0,9} (?:help|assist|do)"
    rf"|(?:that|this|it)(?:'s| is) something (?:that )?(?:i|we) ?{_EN_SIMPLY}(?:{_EN_CANNOT}) "
    rf"(?:{_EN_ACT}|do\b)"
    r"|(?:this|that|your) (?:request|content|question|prompt|topic)"
    r"(?:(?! not |n't |never)[^.\n]){0,30} (?:violates?|goes against|is against) (?!none\b|no\b)"
    rf"(?:{_EN_NOT_WEB}[\w']+ ){{0,4}}?"
    rf"(?:{_EN_RULES}|copyright|privacy|laws?\b|ethic|(?:\w+ )?standards\b)"
    r"|(?:this|that|it)(?:'s| is| goes| would go| would be) against (?:my|our) "
    rf"{_EN_RULES}(?!:| (?:on|for|about)\b)"
    rf"|my {_EN_RULES}[^.\n]{{0,20}}"
    r" (?:(?:do(?:es)? not|don't|doesn't) (?:allow|permit) me|prevents? me|prohibits? me)\b)"
)
_EN_OPENERS: Final = (
    r"(?:(?:i|we) ?(?:'m|am|'re|are) (?:\w+ly |very |so )?(?:sorry|afraid)|(?:very |so )?sorry"
    r"|(?:my |our )?(?:sincere )?apologies|(?:i|we) (?:\w+ly )?apologi[sz]e"
    r"|unfortunately|regrettably|(?:no|hmm|well|oh|honestly)\b"
    r"|as an? (?:\w+ ){0,3}(?:ai|assistant|model)\b"
    r"|thank you|thanks"
    r"|i (?:understand|appreciate|know|see|recogni[sz]e|hear|aim|want|wish)\b"
    r"|i(?:'d| would) (?:love|like|be happy)\b)[^\n]{0,140}?"
    # After "I'm an AI" a refusal goes on about itself, in the same sentence.
    r"|(?:i(?:'m| am) (?:just |only )?an? (?:\w+ ){0,3}(?:ai|assistant|model)(?=[,.]| (?:and|so|but"
    r"|that|by|created|developed|made|designed|trained|language|assistant|model|chatbot|system)\b)"
    r"|i(?: strive|(?:'m| am) (?:designed|programmed|trained)) to (?:be|provide|help|assist|follow"
    r"|avoid|offer|give|respond|answer|support|promote|prioriti[sz]e)\b)"
    r"[^\n:;]{0,140}?(?=\b(?!we\b))"
)

_DE_ACT: Final = (
    r"(?:helfen|behilflich|unterstützen|beantworten|erfüllen|bereitstellen|erstellen|nachkommen"
    r"|in der lage|bearbeiten|leisten"
    r"|(?:beratung|auskunft|ratschläge|anleitung|informationen) (?:geben|erteilen|anbieten))"
)
# A clause between two commas, or the rest of a row of words.
_DE_ASIDE: Final = (
    r"(?:, (?:(?:in|bei|mit|zu|von|für|auf) )?(?:wie|die|der|das|dem|den|denen|deren|dessen|was|ob"
    r"|welche\w?|so|einschließlich|insbesondere|z\. ?b\.)\b[^.!?,;:\n]{1,80},"
    r"|(?:, \w+){1,4} (?:und|oder|sowie|bzw\.) )"
)

LANGUAGES: Final[Mapping[str, tuple[str, str, str]]] = {
    # the first words, or the first character, of a refusal; what it contains; the whole of it:
    # all in lower case
    "en": (
        (
            "i i'm i'd we we're sorry apologies my our very so unfortunately regrettably no"
            " as thank thanks this that that's your it's hmm well oh honestly"
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
            rf"(?:\b(?:(?:kann|darf|werde) ich|ich (?:kann|darf|werde|bin)) [^.!?,;:\n]{{0,80}}?"
            rf"(?:{_DE_ASIDE}[^.!?,;:\n]{{0,30}}?)?(?:nicht(?! nur)|kein\w*)\b[^.!?,;:\n]{{0,60}}?"
            rf"(?:{_DE_ASIDE}(?! (?:und|aber|so|also|daher|sondern|kann|können|oder)\b)"
            rf"(?:(?! zu )[^.!?,;:\n]){{0,30}}?)?{_DE_ACT}"
            r"|\b(?:(?:das|dies|so etwas) (?:kann|darf|werde) ich"
            r"|(?:ich (?:kann|darf|werde)|(?:kann|darf|werde) ich) (?:das|dies|so etwas))"
            r" (?:leider )?nicht (?:tun|machen)\b"
            r"|\b(?:das|dies) ist mir (?:leider )?nicht möglich(?=[.!])"
            rf"|\bmir (?:leider )?nicht möglich, [^.!?,;:\n]{{0,60}}?\bzu {_DE_ACT})"
        ),
    ),
    "fr": (
        "je désolé désolée malheureusement navré en",
        "ne",
        (
            r"(?:je suis (?:vraiment )?(?:désolée?|navrée?)|désolée?|navrée?|malheureusement"
            r"|en tant qu)?[^\n]{0,60}?\bje ne (?:peux|puis|suis|saurais|pourrai)"
            r"(?: malheureusement)? pas (?:en mesure de |capable de |autorisée? à )?"
            r"(?:vous |t'|te |y )?(?:aider|assister|répondre(?! avec)"
            r"|faire (?:ça|cela)(?=[.,;!\n]|$| (?:car|pour|mais)\b)"
            r"|fournir|créer|générer|écrire|satisfaire|accéder à (?:cette|votre))"
        ),
    ),
    "es": (
        "lo no lamentablemente lamento disculpa disculpe perdón como siento desafortunadamente",
        "no",
        (
            r"(?:lo siento|siento|lo lamento|lamentablemente|desafortunadamente|disculp[ae]|perdón"
            r"|como (?:ia|modelo|asistente))?[^\n]{0,60}?\bno (?:puedo|poder|podré|me es posible|"
            r"estoy en condiciones de|tengo permitido) (?:\w+ )?(?:ayudar|asistir|proporcionar|"
            r"hacer es[oe](?=[.,;!\n]|$| (?:porque|pero|ya que)\b)|"
            r"cumplir|responder(?! con)|crear|generar|escribir|ofrecer|participar|"
            r"compartir)"
        ),
    ),
    "it": (
        "mi non purtroppo come spiacente sono",
        "non",
        (
            r"(?!sono (?!(?:\w+ )?spiacente))"
            r"(?:mi dispiace|(?:sono )?(?:\w+ )?spiacente|purtroppo|come (?:ia|modello))?"
            r"[^\n]{0,60}?"
            r"\bnon (?:posso|sono in grado di|mi è possibile) (?!che\b)(?:\w+ )?(?:aiutar|"
            r"assister|fornir|risponder(?!\w{0,8} con)|crear|generar|scriver|soddisfar)"
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
            r"(?:het spijt me|sorry|helaas|als ai)?[^\n]{0,60}?\b(?:ik kan|kan ik) "
            r"[^.!?,;:\n]{0,60}?(?:niet(?! wachten)|geen)\b[^.!?,;:\n]{0,40}?"
            r"(?:(?:, [\w-]+){1,4} (?:en|of) [^.!?,;:\n]{0,30}?)?"
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
            r"(?:(?:非常|很|十分)?(?:抱歉|对不起|對不起|遗憾|遺憾)|"
            r"作为[^,\uff0c\n]{0,20}(?:ai|人工智能|模型|助手|助理|机器人|文心一言))[^\n]{0,20}?"
            r"(?:无法|無法|不能|不便|没有办法|不可以)"
            r"|(?:作为[^,\uff0c\n]{0,20}[,\uff0c] ?)?"
            r"我(?:无法|無法|不能)(?:提供|协助|協助|帮|幫|回答|满足|滿足|参与|生成|创作)"
        ),
    ),
    "ja": (
        "申 す 恐 そ ご",
        "ません しかね できな",
        (
            r"(?:申し訳|すみません|ごめんなさい(?![はがを]|という|って)|恐れ入りますが|そのご?(?:要望|依頼|質問)|ご(?:要望|依頼|質問))"
            r"[^\n]{0,80}?(?:できません|できかね|いたしかね|致しかね|しかねます|お答えできな)"
        ),
    ),
    "ko": (
        "죄 미 저",
        "없 어렵",
        (
            r"(?:죄송|미안)[^\n]{0,80}?(?:[드줄]릴? 수 없|할 수 없|수 없습니다|어렵습니다)"
            r"|저는[^\n]{0,80}?(?:드릴 수 없|도와[드줄]릴? 수 없|"
            r"(?:제공|생성|작성|공유|수행|지원|처리|답변|응답|답|응)"
            r"할 수 없|도와드리기 어렵|(?:제공|답변|지원)(?:하|해 ?드리)기 어렵)"
        ),
    ),
}
