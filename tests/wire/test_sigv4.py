"""AWS signatures: the 38 vectors of AWS's own suite, and Bedrock's addresses."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.wire.sigv4 import Credentials, Scope, sign, signing
from tests.recordings import need_shared

VECTORS: Final = sorted(each for each in (need_shared("wire") / "sigv4").iterdir() if each.is_dir())
HOST: Final = "https://example.amazonaws.com"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
WHO: Final = Credentials("AKIDEXAMPLE", SECRET)
BEDROCK: Final = Scope("eu-west-1")
NOON: Final = 1_440_938_160.9
"""2015-08-30T12:36:00 UTC, and most of a second, which a stamp does not have."""


class Vector:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context: dict[str, Any] = json.loads((folder / "context.json").read_text("utf-8"))
        head, _, body = (folder / "request.txt").read_text("utf-8").partition("\n\n")
        first, *lines = head.rstrip("\n").split("\n")
        self.method, _, rest = first.partition(" ")
        self.target = rest.rpartition(" ")[0]
        self.body = body.encode()
        self.headers = self._headers(lines)

    def _headers(self, lines: list[str]) -> Mapping[str, str]:
        """A name that stands twice is one header with a list; an indented line goes on."""
        found: dict[str, str] = {}
        last = ""
        for line in lines:
            if line.startswith(" "):
                found[last] += line
                continue
            last, _, value = line.partition(":")
            found[last] = f"{found[last]},{value}" if last in found else value
        return found

    @property
    def credentials(self) -> Credentials:
        given = self.context["credentials"]
        # `omit_session_token`: it is sent beside the signature, and is no part of it.
        token = None if self.context.get("omit_session_token") else given.get("token")
        return Credentials(given["access_key_id"], given["secret_access_key"], token)

    def said(self, name: str) -> str:
        return (self.folder / f"header-{name}.txt").read_text("utf-8")


def test_the_suite_is_whole() -> None:
    assert len(VECTORS) == 38


@pytest.mark.parametrize("folder", VECTORS, ids=lambda folder: folder.name)
def test_a_vector_is_signed_as_aws_signs_it(folder: Path) -> None:
    vector = Vector(folder)
    context = vector.context
    scope = Scope(context["region"], context["service"], context["normalize"])
    now = datetime.fromisoformat(context["timestamp"]).timestamp()
    url = HOST + vector.target
    headers = dict(vector.headers)
    if context["sign_body"]:
        digest = vector.said("canonical-request").rpartition("\n")[2]
        headers["x-amz-content-sha256"] = digest
    who = vector.credentials
    added = sign(who, scope, now, url=url, headers=headers, body=vector.body, method=vector.method)
    authorization = added["authorization"]
    assert f"Authorization:{authorization}\n" in vector.said("signed-request")
    assert authorization.endswith(f"Signature={vector.said('signature')}")
    stamped = {name: value for name, value in added.items() if name != "authorization"}
    made = signing(
        who,
        scope,
        now,
        url=url,
        headers=headers | stamped,
        body=vector.body,
        method=vector.method,
    )
    assert made.canonical_request == vector.said("canonical-request")
    assert made.string_to_sign == vector.said("string-to-sign")


ADDRESSES: Final = [
    ("/model/meta.llama3-70b/converse", "/model/meta.llama3-70b/converse"),
    ("/model/amazon.nova-micro-v1%3A0/converse", "/model/amazon.nova-micro-v1%253A0/converse"),
    (
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A0123%3Ainference-profile%2Fx/converse-stream",
        "/model/arn%253Aaws%253Abedrock%253Aeu-west-1%253A0123%253Ainference-profile%252Fx/converse-stream",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "signed"), ADDRESSES)
def test_a_path_is_signed_encoded_once_more_than_it_is_sent(sent: str, signed: str) -> None:
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com{sent}"
    headers = {"content-type": "application/json"}
    made = signing(WHO, BEDROCK, NOON, url=url, headers=headers, body=b"{}")
    assert made.canonical_request.split("\n")[:2] == ["POST", signed]
    assert made.signed_headers == "content-type;host"


HOSTS: Final = [
    ("https://Bedrock.example", "bedrock.example"),
    ("https://bedrock.example:443", "bedrock.example"),
    ("https://bedrock.example:8443", "bedrock.example:8443"),
    ("http://127.0.0.1:80", "127.0.0.1"),
    ("https://user:word@bedrock.example", "bedrock.example"),
]


@pytest.mark.parametrize(("base", "host"), HOSTS)
def test_the_host_is_signed_as_a_client_sends_it(base: str, host: str) -> None:
    made = signing(WHO, BEDROCK, NOON, url=f"{base}/model/x/converse", headers={}, body=b"")
    assert f"\nhost:{host}\n" in made.canonical_request


def test_a_session_token_is_sent_and_signed() -> None:
    who = Credentials("ASIA", SECRET, "to/ken==")
    added = sign(who, BEDROCK, NOON, url=HOST, headers={}, body=b"")
    assert added["x-amz-security-token"] == "to/ken=="
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in added["authorization"]
    assert sign(WHO, BEDROCK, NOON, url=HOST, headers={}, body=b"").keys() == {
        "authorization",
        "x-amz-date",
    }


CHANGES: Final[Mapping[str, dict[str, Any]]] = {
    "body": {"body": b"{ }"},
    "url": {"url": f"{HOST}/other"},
    "query": {"url": f"{HOST}/?a=1"},
    "headers": {"headers": {"content-type": "text/plain"}},
    "method": {"method": "GET"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_changes_the_signature(change: str) -> None:
    as_it_is: dict[str, Any] = {"url": HOST, "headers": {}, "body": b"{}"}
    before = sign(WHO, BEDROCK, NOON, **as_it_is)
    after = sign(WHO, BEDROCK, NOON, **(as_it_is | CHANGES[change]))
    assert before["authorization"] != after["authorization"]


def test_headers_that_others_may_change_are_not_signed() -> None:
    headers = {"User-Agent": "x", "Transfer-Encoding": "chunked", "X-Amzn-Trace-Id": "1"}
    with_them = sign(WHO, BEDROCK, NOON, url=HOST, headers=headers, body=b"")
    assert with_them == sign(WHO, BEDROCK, NOON, url=HOST, headers={}, body=b"")


def test_a_secret_is_not_shown() -> None:
    assert repr(Credentials("AKID", "hidden", "secret")) == "Credentials('AKID', ...)"
