"""Words that name a language or speak of translation, in the languages that a check knows.

A request with one of them may ask for an answer in another language than its own. Where such a word
means something else, the answer to that request is in any language.
"""

import re
from typing import Final

_WHOLE: Final = (
    # English
    "afrikaans albanian amharic arabic armenian assamese azerbaijani basque belarusian bengali"
    " bosnian bulgarian burmese cantonese catalan chinese croatian czech danish dutch english"
    " esperanto estonian farsi filipino finnish french gaelic galician georgian german greek"
    " gujarati hausa hebrew hindi hungarian icelandic igbo indonesian irish italian japanese"
    " kannada kazakh khmer korean kurdish lao latin latvian lithuanian macedonian malay malayalam"
    " mandarin maori marathi mongolian nepali norwegian pashto persian polish portuguese punjabi"
    " romanian russian sanskrit serbian sinhala slovak slovene slovenian somali spanish swahili"
    " swedish tagalog tamil telugu thai tibetan turkish ukrainian urdu uzbek vietnamese welsh"
    " yiddish yoruba zulu language languages bilingual multilingual"
    # French, Spanish, Portuguese, Italian; Dutch
    " deutsch russe russes arabe arabes grec grecque turc turque langue langues bilingue"
    " inglés ingles inglesa inglês francés francesa francês ruso rusa russo russa chino chinês"
    " cinese turco griego grego greco idioma idiomas lengua lenguas língua línguas lingua lingue"
    " inglese inglesi francese francesi arabo engels engelse duits duitse frans franse taal talen"
)
_BEGINNING: Final = (
    "translat"
    # German
    " englisch deutsche französisch spanisch italienisch portugiesisch russisch chinesisch"
    " japanisch koreanisch polnisch türkisch arabisch niederländisch griechisch hebräisch latein"
    " übersetz sprach fremdsprach"
    # French, Spanish, Portuguese, Italian; Dutch
    " anglais allemand français espagnol italien portugais chinois japonais coréen polonais"
    " néerlandais traduire traduis tradui traduct traduc traduz traduç"
    " alemán aleman alemão alemã español espanhol italiano italiana portugués portuguesa português"
    " japonés japonês giapponese coreano polaco polacco tedesc spagnol portoghes olandese"
    " spaans italiaans portugees chinees vertaal vertal"
    # Polish, Czech, Serbian
    " angielsk niemieck francusk hiszpańsk włosk portugalsk rosyjsk chińsk japońsk ukraińsk polsk"
    " tłumacz przetłumacz przekład język"
    " angličtin anglick němčin německ francouzš francouzsk španělš španělsk italšt italsk rušt"
    " rusk čínšt čínsk japonšt češtin česk slovenštin přelož překlad jazyk jazyc"
    " englesk nemačk špansk italijansk kinesk japansk srpsk hrvatsk prevod preved prevest jezik"
    # Swedish, Danish; Turkish; Indonesian; Vietnamese
    " engelsk tysk fransk spansk italiensk portugisisk rysk kinesisk japansk svensk dansk norsk"
    " finsk översätt översät oversæt oversett språk sprog"
    " ingiliz türkçe almanca frans\u0131zca ispanyolca italyanca rusça arapça çince japonca korece"
    " çevir tercüme bahasa terjemah tiếng dịch"
)
_ANYWHERE: Final = (
    # Han, kana, Hangul
    "西班牙文 西班牙语 葡萄牙文 葡萄牙语 意大利文 意大利语 阿拉伯文 阿拉伯语 越南文 越南语"
    " 印尼文 印尼语 土耳其语 荷兰语 波兰语 希腊语 希伯来语 拉丁语 俄罗斯语 普通话 翻译 翻譯"
    " 翻訳 英訳 和訳 訳して 訳す フランス語 ドイツ語 スペイン語 イタリア語 ポルトガル語 ロシア語"
    " アラビア語 タイ語 ベトナム語 韓国語 中国語 外国語 言語"
    " 영어 한국어 일본어 중국어 독일어 프랑스어 스페인어 러시아어 이탈리아어 포르투갈어 아랍어"
    " 베트남어 태국어 외국어 불어로 불어를 영문 국문 번역 언어"
    # Cyrillic
    " английск англійськ англиск енглеск ағылшын немецк німецьк немск немачк французск французьк"
    " френск француск испанск іспанськ шпанск итальянск італійськ италианск италијанск португальск"
    " китайск китайськ кинеск японск японськ јапанск корейск русск російськ руски украинск"
    " українськ български българск српск польск турецк арабск казахск қазақша перевед перевод"
    " переклад превод превед аудар язык език језик јазик"
    # Greek, Hebrew, Arabic
    " αγγλικ γερμανικ γαλλικ ισπανικ ιταλικ ρωσικ κινεζικ ελληνικ μετάφρα μεταφρ γλώσσ"
    " אנגלי עברית גרמנית צרפתית ספרדית רוסית ערבית ייִדיש יידיש תרגם תרגום תרגמ שפה שפת"
    " إنجليزي انجليزي أنجليزي العربية فرنسية ألمانية إسبانية روسية صينية ترجم لغة اللغ"
    " انگلیسی فارسی فرانسوی آلمانی ترجمه زبان انگریزی اردو ترجمہ"
    # Devanagari, Bengali, Tamil, Thai
    " अंग्रे अँग्रे इंग्र हिंदी हिन्दी मराठी नेपाली संस्कृत अनुवाद भाषा"
    " ইংরে ইংৰাজ অসমীয়া অনুবাদ ভাষা ஆங்கில தமிழ மொழி ภาษา"
)
_NAMES: Final = frozenset(_WHOLE.split())
_STEMS: Final = tuple(_BEGINNING.split())
_BEGINNINGS: Final = frozenset(stem[:3] for stem in _STEMS)
_PARTS: Final = tuple(_ANYWHERE.split())
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_HAN: Final = re.compile(
    r"[英德法俄日韩韓泰中汉漢外双雙母国國粤粵](?:文(?![档檔件章献獻])|[语語])"
    r"|[英中日][译譯]|[译譯][成为為文]"
)
_MORE: Final = re.compile(r"বাংলা(?!দেশ)|แปล(?![กง])")


def names_language(text: str) -> bool:
    """Whether a text names a language, or speaks of translation."""
    text = text.replace("\u0130", "i").lower()  # else a Turkish I has a dot of its own
    for word in set(_WORD.findall(text)):
        if word in _NAMES or (word[:3] in _BEGINNINGS and word.startswith(_STEMS)):
            return True
    if text.isascii():
        return False
    found = any(part in text for part in _PARTS) or _HAN.search(text) or _MORE.search(text)
    return bool(found)
