"""Requests that name a language, in each that a check of it knows: any answer will do."""

import pytest

from gateway.core.checks.language_names import names_language
from tests.core.checked import request, whys

EMAIL = (
    "Dear Mr. Smith, I am writing to you to let you know that the meeting which was planned for"
    " Monday has been moved to the next week, as not all of us can be there."
)
IN_ENGLISH = {
    "zh 英文": "请用英文给我的客户写一封邮件\uff0c告诉他会议推迟到下周。",
    "zh 英文2": "帮我写一封英文邮件\uff0c告诉史密斯先生会议推迟到下周。",
    "ja 英文": "スミスさんに会議が来週に延期されたことを伝える英文メールを書いてください。",
    "ja 中国語": "中国語で返事を書いてください。会議は来週に延期されました。",
    "ko 영문": "스미스 씨에게 회의가 다음 주로 연기되었다는 영문 이메일을 작성해 주세요.",
    "ko 영어": "스미스 씨에게 회의가 다음 주로 연기되었다는 이메일을 영어로 작성해 주세요.",
    "ru англ": "Напиши письмо на английском языке: скажи им, что встреча перенесена.",
    "uk": "Напиши лист англійською про те, що зустріч перенесено на наступний тиждень.",
    "bg": "Напиши имейл на английски, че срещата отпада тази седмица.",
    "el": ("Γράψε ένα μήνυμα στα αγγλικά, ότι αναβάλλεται."),
    "ar": ("اكتب رسالة بالإنجليزية إلى السيد سميث تخبره أن الاجتماع تأجل إلى الأسبوع القادم"),
    "fa": "یک ایمیل به انگلیسی بنویس که جلسه به هفته آینده موکول شده است",
    "he": "כתוב מייל באנגלית שהפגישה נדחתה לשבוע הבא בבקשה",
    "hi": "अंग्रेज़ी में एक ईमेल लिखो कि बैठक अगले सप्ताह तक टल गई है",
    "bn": "ইংরেজিতে একটি ইমেইল লিখুন যে সভাটি আগামী সপ্তাহে হবে",
    "ta": ("கூட்டம் அடுத்த வாரத்திற்கு மாற்றப்பட்டது என்று ஆங்கிலத்தில் ஒரு மின்னஞ்சல் எழுது"),
    "th": "เขียนอีเมลภาษาอังกฤษว่าการประชุมถูกเลื่อนไปสัปดาห์หน้า",
    "de englischen": (
        "Schreib mir bitte einen englischen Text für Herrn Smith, in dem steht, dass "
        "das Treffen nicht am Montag ist und auf die nächste Woche verschoben wird."
    ),
    "fr anglaise": (
        "Écris une lettre anglaise pour le client qui dit que la réunion est reportée "
        "et que nous ne sommes pas tous là, avec une excuse."
    ),
    "es inglesa": (
        "Escribe una carta inglesa para el cliente que diga que la reunión se cambia a "
        "la semana que viene y no es el lunes, por favor."
    ),
    "nl engelse": (
        "Schrijf een Engelse brief voor de klant dat de vergadering niet op maandag is "
        "en naar de volgende week is verplaatst, met een excuus."
    ),
    "pl": (
        "Napisz list po angielsku, że spotkanie nie jest w poniedziałek i że się "
        "przenosi na następny tydzień, ale nie na środę, bo to za wcześnie i już tak "
        "jest."
    ),
    "sv": (
        "Skriv ett mejl på engelska att mötet inte är på måndag och att det är flyttat "
        "till nästa vecka, för att inte alla kan vara med den dagen."
    ),
    "da": (
        "Skriv en mail på engelsk om at mødet ikke er på mandag og at det er flyttet "
        "til næste uge, for at alle kan være med den dag og ikke en anden."
    ),
    "tr": (
        "Bay Smith için bir e-posta yaz: toplant\u0131 gelecek haftaya ertelendi ve bu çok "
        "önemli, ama İngilizce olarak yaz ve daha k\u0131sa olsun, bir de selam ekle."
    ),
    "cs": (
        "Napiš dopis v angličtině, že se schůzka přesouvá na příští týden, a to tak, "
        "aby to bylo krátké, jako od nás, ale ne moc, a že je to pro nás důležité."
    ),
    "id": (
        "Tulis surel dalam bahasa Inggris untuk klien yang mengatakan bahwa rapat itu "
        "tidak pada hari Senin dan akan dipindahkan ke minggu depan, dengan alasan dari"
        " kami."
    ),
    "vi": (
        "Hãy viết một email bằng tiếng Anh cho khách hàng, nói rằng cuộc họp không phải"
        " là thứ hai này và được chuyển sang tuần sau, với lý do của chúng tôi đã có."
    ),
    "sr": (
        "Napiši mejl na engleskom da je sastanak pomeren za sledeću nedelju, jer ne "
        "mogu svi da budu tu, ali da će biti kao i uvek, i da se ne brine."
    ),
    "it": (
        "Scrivi una lettera inglese per il cliente che non è al lavoro, e di' che la "
        "riunione è della prossima settimana e non di questa, con le scuse."
    ),
    "pt": (
        "Escreva uma carta inglesa para o cliente que diga que a reunião não é na "
        "segunda e que foi adiada para a próxima semana, com as desculpas da equipe."
    ),
}
"""What is asked for there is in English, or in Chinese."""


@pytest.mark.parametrize("name", IN_ENGLISH)
def test_a_request_may_ask_for_another_language_in_its_own(name: str) -> None:
    asked = request(messages=[{"role": "user", "content": IN_ENGLISH[name]}])
    assert whys("language", EMAIL, asked) == []


@pytest.mark.parametrize(
    "text",
    [
        "Write idiomatic code, as Russell did.",
        "Was ist die Hauptstadt von Deutschland?",
        "请编译这个程序并修复错误",
        "今日文章",
        "самовар стоит на столе",
        "বাংলাদেশের রাজধানী কি",
        "",
    ],
)
def test_these_name_none(text: str) -> None:
    assert not names_language(text)
