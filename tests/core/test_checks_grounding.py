"""What is no quotation: code, the texts of JSON, attributes of markup."""

import json
from typing import Any, Final

import pytest

from gateway.config.checks import OneCheck
from tests.core.checked import request, whys

PROMPT: Final = [{"role": "user", "content": "The sky over the city was grey, they said."}]
MOON: Final = "The moon is made of cheese and nothing else"


@pytest.mark.parametrize("options", [{}, OneCheck.model_validate("cites_context").check().options])
@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (f'```python\nprint("{MOON}")\n```', True),
        (f'Say `print("{MOON}")`.', True),
        (json.dumps({"summary": MOON, "more": [{"of the same": MOON}]}), True),
        (json.dumps([MOON, 'It says: "the sky over the city was grey".']), True),
        (json.dumps({"summary": f'It says: "{MOON}".'}), False),
        ('<p class="one two three four five six">Yes.</p>', True),
        (f'It says: "{MOON}".', False),
        (f'{{It says: "{MOON}".', False),
    ],
)
def test_what_is_no_quotation(options: dict[str, Any], text: str, passes: bool) -> None:
    """By default, whether the check is configured or a client names it."""
    assert (not whys("cites_context", text, request(messages=PROMPT), **options)) is passes


CONTRACTS: Final = {
    "zh": "根据合同第三条甲方应当在收到发票后三十个工作日内支付全部货款",
    "ja": "利用者は本サービスの利用にあたり当社が定める手続きに従って登録を行うものとします",
    "th": "ผู้เช่าจะต้องชำระค่าเช่าภายในวันที่ห้าของทุกเดือนโดยไม่มีข้อยกเว้น",
}


@pytest.mark.parametrize("script", CONTRACTS)
def test_a_quotation_begins_anywhere_where_no_blanks_stand_between_words(script: str) -> None:
    text = CONTRACTS[script]
    asked = request(messages=[{"role": "user", "content": f"1. {text}. 2. {text[::-1]}"}])
    assert not whys("cites_context", f"“{text[6:32]}”", asked)
    assert whys("cites_context", f"“{text[6:16]}{text[20:36]}”", asked)
    asked = request(messages=[{"role": "user", "content": f"Xpython {text} Python{text}"}])
    assert not whys("cites_context", f"“Python{text[:20]}”", asked)
    assert whys("cites_context", f"“thon{text[:20]}”", asked)
