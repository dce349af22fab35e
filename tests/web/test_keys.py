"""Who is asking."""

from hashlib import sha256

import pytest

from gateway.core.accounts import Account, Purse
from gateway.core.catalog import Budget, Key, Tenant
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


def test_without_a_key_it_is_told_how_to_get_one() -> None:
    with pytest.raises(Unauthenticated, match="tollgate key new"):
        Keyring([ACME]).caller(b"")


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
