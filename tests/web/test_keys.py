"""Who is asking."""

from hashlib import sha256
from typing import Any

import pytest

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget, Key, Organisation, Tenant
from gateway.core.errors import Unauthenticated
from gateway.core.money import Nanos
from gateway.web.keys import Keyring

DAILY = (Budget(Nanos(5), "day"),)


def key(name: str, secret: str, *budgets: Budget) -> Key:
    return Key(name, sha256(secret.encode()).hexdigest(), budgets)


ACME = Tenant(
    "acme",
    (key("k1", "s-one", *DAILY), key("k2", "two")),
    budgets=DAILY,
    user_budgets=DAILY,
    timezone="Europe/Berlin",
)
OTHER = Tenant("other", (key("k1", "three"),))
OPEN = Tenant("open", anonymous=True)


@pytest.mark.parametrize(
    ("header", "who"),
    [
        (b"Bearer s-one", ("acme", "k1")),
        (b"bearer two", ("acme", "k2")),
        (b"BEARER   three  ", ("other", "k1")),
    ],
)
def test_a_key_is_its_tenants(header: bytes, who: tuple[str, str]) -> None:
    caller = Keyring([ACME, OTHER]).caller(header)
    assert caller.key is not None
    assert (caller.tenant.name, caller.key.id) == who


WRONG = [
    b"", b"Bearer", b"Bearer ", b"s-one", b"Basic s-one", b"Bearer s-onE", b"Bearer s-one two",
    b"Bearers-one", b"Bearer " + sha256(b"s-one").hexdigest().encode(), b"Bearer \xff\xfe",
    b"Bearer s",
]  # fmt: skip


@pytest.mark.parametrize("header", WRONG)
def test_nobody_else_comes_in(header: bytes) -> None:
    with pytest.raises(Unauthenticated) as caught:
        Keyring([ACME, OTHER]).caller(header)
    assert caught.value.status == 401
    assert "s-on" not in str(caught.value), "a key is never said back"


@pytest.mark.parametrize("header", WRONG)
def test_anybody_is_the_anonymous_tenant_where_there_is_one(header: bytes) -> None:
    caller = Keyring([ACME, OPEN]).caller(header)
    assert (caller.tenant.name, caller.key) == ("open", None)


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Bearer  ", b"s-one", b"Basic s-one"])
def test_without_a_key_it_is_told_how_to_send_one(header: bytes) -> None:
    with pytest.raises(Unauthenticated, match=r"'Authorization: Bearer <key>'.*tollgate key new"):
        Keyring([ACME]).caller(header)


@pytest.mark.parametrize(
    ("header", "user", "accounts"),
    [
        (b"Bearer s-one", None, [("tenant", "acme"), ("key", "k1")]),
        (b"Bearer s-one", "ann", [("tenant", "acme"), ("user", "ann"), ("key", "k1")]),
        (b"Bearer two", "ann", [("tenant", "acme"), ("user", "ann")]),
        (b"Bearer three", "ann", [("tenant", "other")]),
    ],
)
def test_the_purse_holds_every_account(
    header: bytes, user: str | None, accounts: list[tuple[str, str]]
) -> None:
    purse = Keyring([ACME, OTHER]).caller(header).purse(user)
    assert [(account.scope, account.name) for account in purse.accounts] == accounts


def test_a_purse_keeps_its_tenants_time() -> None:
    purse = Keyring([ACME]).caller(b"Bearer two").purse(None)
    account = Account("tenant", "acme", DAILY, "acme", "Europe/Berlin")
    assert purse == Purse("acme", (account,))


ONE = (Budget(1, "day"),)
TWO = (Budget(2, "minute", "requests"),)
RICH = Tenant(
    "rich",
    keys=(Key("k9", sha256(b"nine").hexdigest()),),
    budgets=DAILY,
    timezone="Asia/Tokyo",
    organisation=Organisation("globex", ONE, {"gpt-5": ONE}, timezone="Europe/Paris"),
    tag_budgets={"use_case": TWO},
    model_budgets={"*": TWO},
    provider_budgets={"openai": ONE},
)


@pytest.mark.parametrize(
    ("tags", "model", "provider", "more"),
    [
        ({}, "m", "p", [("model", "m", "rich", "Asia/Tokyo", TWO)]),
        ({"other": "x"}, "m", "p", [("model", "m", "rich", "Asia/Tokyo", TWO)]),
        (
            {"use_case": "rag"},
            "gpt-5",
            "openai",
            [
                ("tag", "use_case=rag", "rich", "Asia/Tokyo", TWO),
                ("model", "gpt-5", "", "Europe/Paris", ONE),
                ("model", "gpt-5", "rich", "Asia/Tokyo", TWO),
                ("provider", "openai", "rich", "Asia/Tokyo", ONE),
            ],
        ),
    ],
)
def test_an_organisation_tags_models_and_providers(
    tags: dict[str, str], model: str, provider: str, more: list[tuple[Any, ...]]
) -> None:
    purse = Keyring([RICH]).caller(b"Bearer nine").purse(None, tags)
    assert (purse.home, purse.tenant) == ("globex", "rich")
    call = purse.of_call(model, provider)
    assert call.home == "globex"
    assert [(a.scope, a.name, a.owner, a.timezone, a.budgets) for a in call.accounts] == [
        ("organisation", "globex", "", "Europe/Paris", ONE),
        ("tenant", "rich", "rich", "Asia/Tokyo", DAILY),
        *more,
    ]


def test_users_cost_nothing_where_they_have_no_budget() -> None:
    caller = Keyring([RICH]).caller(b"Bearer nine")
    assert caller.purse("ann") is caller.purse("bob") is caller.purse(None, {"mine": "x"})
