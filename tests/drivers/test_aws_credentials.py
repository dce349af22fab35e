"""AWS credentials: where they are looked for, in which order, and what is said without them."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.core.errors import Misconfigured
from gateway.core.snapshot import AwsAuth, Secret
from gateway.drivers.upstream.aws_credentials import find
from tests.drivers.endpoints import Reply, endpoint

REGION: Final = "eu-west-1"
HERE: Final = AwsAuth(REGION)
ENV: Final = {"AWS_ACCESS_KEY_ID": "AKenv", "AWS_SECRET_ACCESS_KEY": "env"}
SHARED: Final = """\
[default]
aws_access_key_id = AKdefault
aws_secret_access_key = default
[temporary]
aws_access_key_id = AKtemporary
aws_secret_access_key = temporary
aws_session_token = a%token//==
[half]
aws_access_key_id = AKhalf
"""
CONFIG: Final = """\
[default]
region = us-east-1
aws_access_key_id = AKoverruled
aws_secret_access_key = overruled
[profile config]
aws_access_key_id = AKconfig
aws_secret_access_key = config
[profile half]
aws_secret_access_key = half
[profile role]
role_arn = arn:aws:iam::1:role/x
source_profile = default
[profile sso]
sso_session = s
[profile program]
credential_process = /bin/echo
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home with both files, and no machine."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(SHARED)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    return {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.mark.parametrize(
    ("auth", "more", "key"),
    [
        (AwsAuth(REGION, "AKown", Secret("own")), ENV, "AKown/own/None"),
        (AwsAuth(REGION, "AKown", Secret("own"), Secret("t")), ENV, "AKown/own/t"),
        (HERE, ENV, "AKenv/env/None"),
        (HERE, {**ENV, "AWS_SESSION_TOKEN": "t"}, "AKenv/env/t"),
        (HERE, {**ENV, "AWS_SESSION_TOKEN": ""}, "AKenv/env/None"),
        (HERE, {**ENV, "AWS_PROFILE": "config"}, "AKenv/env/None"),
        (HERE, {}, "AKdefault/default/None"),
        (HERE, {"AWS_PROFILE": "temporary"}, "AKtemporary/temporary/a%token//=="),
        (HERE, {"AWS_PROFILE": "config"}, "AKconfig/config/None"),
        (AwsAuth(REGION, profile="config"), ENV, "AKconfig/config/None"),
        (AwsAuth(REGION, profile="half"), {}, "AKhalf/half/None"),
        (HERE, {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}, "AKoverruled/overruled/None"),
        (HERE, {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}, "AKdefault/default/None"),
    ],
)
def test_the_first_place_that_has_them(
    auth: AwsAuth, more: dict[str, str], key: str, env: dict[str, str]
) -> None:
    found = find(auth, env | more).value
    assert f"{found.access_key_id}/{found.secret_access_key}/{found.session_token}" == key


@pytest.mark.parametrize(
    ("auth", "more", "message"),
    [
        (HERE, {"HOME": "/nowhere"}, "no AWS credentials in the environment, the shared files"),
        (HERE, {"AWS_ACCESS_KEY_ID": "x"}, "one without the other"),
        (HERE, {**ENV, "AWS_SECRET_ACCESS_KEY": "a b"}, "are no keys"),
        (HERE, {**ENV, "AWS_SESSION_TOKEN": "a\nb: c"}, "are no keys"),
        (HERE, {"AWS_PROFILE": "nobody"}, "AWS_PROFILE names a profile that is not in"),
        (AwsAuth(REGION, profile="nobody"), ENV, "no AWS credentials in the profile that is conf"),
        (AwsAuth(REGION, profile="role"), ENV, "has role_arn in place of keys: not supported"),
        (AwsAuth(REGION, profile="sso"), ENV, "has sso_session in place of keys: not supported"),
        (AwsAuth(REGION, profile="program"), ENV, "has credential_process in place of keys"),
        (HERE, {"AWS_CONFIG_FILE": "/dev"}, "an AWS shared file cannot be read"),
    ],
)
def test_without_them_it_is_said_why(
    auth: AwsAuth, more: dict[str, str], message: str, env: dict[str, str]
) -> None:
    with pytest.raises(Misconfigured, match=message):
        find(auth, env | more)


@pytest.mark.parametrize(
    "text", ["aws_secret_access_key = canary", "[default\ncanary", "[default]\ncanary\n= x"]
)
def test_a_file_that_is_none_is_not_quoted(text: str, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".aws" / "credentials").write_text(text)
    with pytest.raises(Misconfigured) as caught:
        find(HERE, env)
    assert "canary" not in str(caught.value)


def test_temporary_keys_of_a_file_are_looked_at_again(env: dict[str, str]) -> None:
    assert find(HERE, env).look_again_s == math.inf
    assert find(HERE, env | {"AWS_PROFILE": "temporary"}).look_again_s == 60


# The machine ---------------------------------------------------------------------------------

KEYS: Final[dict[str, Any]] = {
    "Code": "Success",
    "AccessKeyId": "ASmachine",
    "SecretAccessKey": "machine",
    "Token": "t",
    "Expiration": "2030-01-02T03:04:05Z",
}
UNTIL: Final = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
ROLES: Final = "/latest/meta-data/iam/security-credentials/"
INSTANCE: Final[dict[str, Reply]] = {
    "PUT /latest/api/token": (200, "session"),
    f"GET {ROLES}": (200, "my-role\n"),
    f"GET {ROLES}my-role": (200, KEYS),
}


def test_the_role_of_a_container(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("from-file\n")
    with endpoint({"GET /v1/credentials": (200, KEYS)}) as there:
        env = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{there.url}/v1/credentials?id=7",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "overruled",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
        found = find(HERE, env)
    assert (found.value.access_key_id, found.value.session_token) == ("ASmachine", "t")
    assert found.until == UNTIL
    assert there.asked[0].path == "/v1/credentials?id=7"
    assert there.asked[0].headers["authorization"] == "from-file"


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x", "http://10.0.0.1/x", "ftp://127.0.0.1/", "http://[/", "file:///etc/x"],
)
def test_a_container_asks_only_its_own_machine(url: str) -> None:
    with pytest.raises(Misconfigured, match="neither https nor a machine's own"):
        find(HERE, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})


def test_the_role_of_an_instance() -> None:
    with endpoint(INSTANCE) as there:
        found = find(HERE, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": there.url + "/"})
    assert (found.value.access_key_id, found.until) == ("ASmachine", UNTIL)
    assert there.paths == ["PUT /latest/api/token", f"GET {ROLES}", f"GET {ROLES}my-role"]
    session = [each.headers.get("x-aws-ec2-metadata-token") for each in there.asked]
    assert session == [None, "session", "session"]


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ({}, "no AWS credentials in the environment"),
        ({f"GET {ROLES}": (404, "")}, "no AWS credentials in the environment"),
        ({f"GET {ROLES}": (200, "")}, "no AWS credentials in the environment"),
        ({f"GET {ROLES}my-role": (500, "canary")}, "answered with status 500"),
        ({f"GET {ROLES}my-role": (200, "canary")}, "cannot be read"),
        ({f"GET {ROLES}my-role": (200, {"Code": "Failed", "Message": "canary"})}, "cannot be read"),
    ],
)
def test_a_machine_that_fails(replies: dict[str, Reply], message: str) -> None:
    with endpoint(INSTANCE | replies if replies else {}) as there:
        env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": there.url}
        with pytest.raises(Misconfigured, match=message) as caught:
            find(HERE, env)
    assert "canary" not in str(caught.value)


def test_a_machine_that_must_not_be_asked_is_not() -> None:
    with endpoint(INSTANCE) as there:
        env = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": there.url,
            "AWS_EC2_METADATA_DISABLED": "TRUE",
        }
        with pytest.raises(Misconfigured, match="no AWS credentials"):
            find(HERE, env)
    assert there.asked == []
