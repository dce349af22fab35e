"""A keyring that follows a store: peppers, ends, rotation, and who may come in by which door."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from msgspec import structs

from gateway.core.catalog import Budget, Key, Tenant
from gateway.core.errors import KeysDown, Unauthenticated
from gateway.core.keys import (
    Actor,
    Changes,
    Former,
    KeyRecord,
    Scopes,
    Version,
    digest_of,
)
from gateway.drivers.memory_keys import MemoryKeys
from gateway.web.key_watch import GAP_S, KeyWatch
from gateway.web.keys import Keyring

PEPPER = "a pepper that nobody knows"
ACME = Tenant("acme", models=("auto", "gpt-*"), regions=frozenset({"eu", "us"}))
DAILY = (Budget(5, "day"),)


def record(secret: str, *, pepper: str | None = PEPPER, **changes: object) -> KeyRecord:
    made = KeyRecord("key_1", "acme", digest_of(secret, pepper), secret[-4:], 1.0)
    return structs.replace(made, **changes)


def bearer(secret: str) -> bytes:
    return b"Bearer " + secret.encode()


def ring(*records: KeyRecord, pepper: str | None = PEPPER, now: float = 100.0) -> Keyring:
    keyring = Keyring([ACME], pepper=pepper, wall=lambda: now)
    keyring.replace(records)
    return keyring


@pytest.mark.parametrize("made_with", [PEPPER, None])
def test_a_stored_key_is_known_with_its_scopes(made_with: str | None) -> None:
    """Also one from before there was a pepper."""
    scopes = Scopes(("gpt-5",), frozenset({"eu"}))
    keyring = ring(record("s-one", pepper=made_with, scopes=scopes, budgets=DAILY))
    for _ in range(2):  # the second time by a shorter way
        caller = keyring.known(bearer("s-one"))
        assert caller is not None
        assert caller.key is not None
        assert (caller.key.id, caller.key.budgets) == ("key_1", DAILY)
        assert caller.tenant.name == "acme"
        assert (caller.tenant.models, caller.tenant.regions) == (("gpt-5",), frozenset({"eu"}))
        scopes_of = [(account.scope, account.name) for account in caller.purse(None).accounts]
        assert scopes_of == [("tenant", "acme"), ("key", "key_1")]


@pytest.mark.parametrize(
    ("kept", "pepper", "sent"),
    [
        (record("s-one"), None, "s-one"),
        (record("s-one"), "another pepper than that", "s-one"),
        (record("s-one"), PEPPER, "s-two"),
        (record("s-one"), PEPPER, digest_of("s-one", PEPPER)),
        (record("s-one"), PEPPER, digest_of("s-one", PEPPER).removeprefix("hmac-sha256:")),
        (record("s-one", tenant="gone"), PEPPER, "s-one"),
        (record("s-one", scopes=Scopes(expires=100.0)), PEPPER, "s-one"),
        (record("s-one", scopes=Scopes(admin=frozenset({"read"}))), PEPPER, "s-one"),
        (record("x" * 513), PEPPER, "x" * 513),
    ],
)
def test_who_does_not_come_in(kept: KeyRecord, pepper: str | None, sent: str) -> None:
    keyring = ring(kept, pepper=pepper)
    assert keyring.known(bearer(sent)) is None
    with pytest.raises(Unauthenticated):
        keyring.caller(bearer(sent))


def test_a_peppered_key_of_the_configuration() -> None:
    digest = digest_of("s-one", PEPPER).removeprefix("hmac-sha256:")
    tenant = structs.replace(ACME, keys=(Key("k1", digest, DAILY, peppered=True),))
    caller = Keyring([tenant], pepper=PEPPER).known(bearer("s-one"))
    assert caller is not None
    assert caller.tenant is tenant
    assert Keyring([tenant]).known(bearer("s-one")) is None
    plain = structs.replace(ACME, keys=(Key("k1", digest),))
    assert Keyring([plain], pepper=PEPPER).known(bearer("s-one")) is None, "it is no SHA-256"


def test_a_key_ends_at_its_time_and_without_a_clock_at_once() -> None:
    now = [99.9]
    key = Key("k1", digest_of("s-one", None).removeprefix("sha256:"), expires=100.0)
    tenant = structs.replace(ACME, keys=(key,))
    keyring = Keyring([tenant], wall=lambda: now[0])
    assert keyring.known(bearer("s-one")) is not None
    now[0] = 100.0
    assert keyring.known(bearer("s-one")) is None
    assert Keyring([tenant]).known(bearer("s-one")) is None


def test_a_rotated_key_overlaps_and_a_revoked_one_is_gone() -> None:
    now = [100.0]
    keyring = Keyring([ACME], pepper=PEPPER, wall=lambda: now[0])
    keyring.put(record("s-old"))
    assert keyring.known(bearer("s-old")) is not None
    former = (Former(digest_of("s-old", PEPPER), 110.0),)
    keyring.put(record("s-new", former=former, revision=2))
    assert [keyring.known(bearer(s)) is not None for s in ("s-old", "s-new")] == [True, True]
    now[0] = 110.0
    assert [keyring.known(bearer(s)) is not None for s in ("s-old", "s-new")] == [False, True]
    keyring.drop("key_1")
    assert [keyring.known(bearer(s)) is not None for s in ("s-old", "s-new")] == [False, False]


def test_an_admin_key_opens_the_admin_api_and_nothing_else() -> None:
    scopes = Scopes(("gpt-*",), admin=frozenset({"read"}))
    config = KeyRecord("root", "", digest_of("s-root", None), "", 0.0, scopes)
    keyring = Keyring([ACME], pepper=PEPPER, admins=[config], wall=lambda: 100.0)
    keyring.put(record("s-one", scopes=scopes))
    keyring.put(record("s-client", id="key_2"))

    async def asked(secret: str) -> Actor:
        return await keyring.admit_admin(bearer(secret))

    assert asyncio.run(asked("s-root")) == Actor("root", scopes, "")
    assert asyncio.run(asked("s-one")) == Actor("key_1", scopes, "acme")
    for secret in ("s-client", "s-none", ""):
        with pytest.raises(Unauthenticated):
            asyncio.run(asked(secret))


def test_which_keys_were_used() -> None:
    key = Key("k1", digest_of("s-one", None).removeprefix("sha256:"))
    keyring = Keyring([structs.replace(ACME, keys=(key,))], pepper=PEPPER)
    keyring.put(record("s-two"))
    for secret in ("s-one", "s-two", "s-two", "s-junk"):
        keyring.known(bearer(secret))
    assert (keyring.used(), keyring.used()) == ({"acme/k1", "key_1"}, set())


# ---- the watch


class Watched(MemoryKeys):
    """A store that counts how often it is asked, and may be down, or take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.down = False
        self.go = asyncio.Event()
        self.go.set()

    async def changes(self, since: Version) -> Changes | None:
        self.asked += 1
        changes = await super().changes(since)
        await self.go.wait()
        if self.down:
            raise KeysDown("down")
        return changes

    async def touch(self, used: Mapping[str, float]) -> None:
        if self.down:
            raise KeysDown("down")
        await super().touch(used)


class Hand:
    """Time that passes when it is slept."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def watched(store: Watched) -> tuple[Keyring, KeyWatch, Hand]:
    hand = Hand()
    keyring = Keyring([ACME], pepper=PEPPER, wall=hand)
    watch = KeyWatch(store, keyring, clock=hand, wall=hand, sleep=hand.sleep)
    return keyring, watch, hand


async def test_a_key_made_just_now_is_found_and_a_revoked_one_is_not() -> None:
    store = Watched()
    keyring, watch, _ = watched(store)
    await store.save(record("tg-one"))
    caller = await keyring.admit(bearer("tg-one"))
    assert caller.key is not None
    assert caller.key.id == "key_1"
    await store.remove("key_1")
    assert await watch.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.admit(bearer("tg-one"))
    await watch.aclose()


async def test_unknown_keys_share_one_look_and_leave_nothing_behind() -> None:
    store = Watched()
    keyring, watch, hand = watched(store)
    assert await watch.refresh()
    store.asked = 0
    before = hand.now
    sizes = [len(vars(keyring)[name]) for name in ("_plain", "_peppered", "_stored", "_used")]
    junk = [keyring.admit(bearer(f"tg-junk-{at}")) for at in range(1_000)]
    told = await asyncio.gather(*junk, return_exceptions=True)
    assert {type(each) for each in told} == {Unauthenticated}
    assert store.asked == 1
    for at in range(20):  # one after the other, as fast as they are refused
        with pytest.raises(Unauthenticated):
            await keyring.admit(bearer(f"tg-junk-{at}"))
    assert hand.now - before >= 20 * GAP_S * 0.999, "20 of them need 20 gaps"
    after = [len(vars(keyring)[name]) for name in ("_plain", "_peppered", "_stored", "_used")]
    assert after == sizes
    await watch.aclose()


@pytest.mark.parametrize("sent", [b"Bearer any", b"Bearer sk-proj-1", b"Basic dGctb25l", b"tg-one"])
async def test_for_what_is_no_key_of_ours_nobody_looks(sent: bytes) -> None:
    """Who asks for no key is sent some by every SDK: each request would wait for a look."""
    store = Watched()
    store.down = True
    anybody = structs.replace(ACME, anonymous=True)
    keyring = Keyring([anybody], pepper=PEPPER, wall=lambda: 100.0)
    hand = Hand()
    watch = KeyWatch(store, keyring, clock=hand, wall=hand, sleep=hand.sleep)
    caller = await keyring.admit(sent)
    assert (caller.tenant, caller.key, store.asked, hand.now) == (anybody, None, 0, 100.0)
    with pytest.raises(Unauthenticated):
        await keyring.admit_admin(sent)
    assert store.asked == 0
    await watch.aclose()


async def test_a_look_begins_after_it_was_asked_for() -> None:
    """Else a key that was made while an older look was under way would not be found."""
    store = Watched()
    keyring, watch, _ = watched(store)
    store.go.clear()
    early = asyncio.create_task(watch.refresh())
    while not store.asked:
        await asyncio.sleep(0)
    await store.save(record("tg-one"))
    late = asyncio.create_task(keyring.admit(bearer("tg-one")))
    await asyncio.sleep(0)
    store.go.set()
    assert await early
    assert (await late).key is not None
    assert store.asked == 2
    await watch.aclose()


async def test_while_the_store_is_away_what_is_known_goes_on() -> None:
    store = Watched()
    keyring, watch, hand = watched(store)
    await store.save(record("tg-one"))
    assert await watch.refresh()
    await store.save(record("tg-two", id="key_2"))
    await store.remove("key_1")
    store.down = True
    assert not await watch.refresh()
    assert keyring.known(bearer("tg-one")) is not None
    with pytest.raises(KeysDown):
        await keyring.admit(bearer("tg-two"))
    with pytest.raises(Unauthenticated):
        await keyring.admit(bearer("not-one-of-ours"))
    await watch.touch()
    store.down = False
    assert await watch.refresh()
    assert keyring.known(bearer("tg-one")) is None, "the revocation is seen"
    assert keyring.known(bearer("tg-two")) is not None
    hand.now = 500.0
    await watch.touch()
    assert await store.last_used() == {"key_2": 500.0}
    await watch.aclose()


async def test_last_used_is_written_once_a_minute() -> None:
    store = Watched()
    keyring, watch, hand = watched(store)
    await store.save(record("tg-one"))
    rounds = 0
    written: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        keyring.known(bearer("tg-one"))
        await hand.sleep(seconds)
        at = (await store.last_used()).get("key_1")
        if at is not None and at not in written:
            written.append(at)
        if hand.now >= 100.0 + 181.0:
            raise EOFError

    watch = KeyWatch(store, keyring, clock=hand, wall=hand, sleep=sleep)
    with pytest.raises(EOFError):
        await watch.keep()
    assert rounds > 700, "it asks for news four times a second"
    assert [round(at) for at in written] == [160, 220, 280]
    await watch.aclose()


async def test_a_watch_that_ends_leaves_nobody_waiting() -> None:
    store = Watched()
    keyring, watch, _ = watched(store)
    store.go.clear()
    asking = asyncio.create_task(keyring.admit(bearer("tg-one")))
    while not store.asked:
        await asyncio.sleep(0)
    await watch.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_thousands_of_keys_are_learned_while_others_go_on() -> None:
    """At a start, and at each return of a store with other data; what is gone is gone first."""
    many = [record(f"s-{n}", pepper=None) for n in range(4_000)]
    many = [structs.replace(each, id=f"key_{n}") for n, each in enumerate(many)]
    store = Watched()
    for each in many[:-1]:
        await store.save(each)
    keyring, watch, _ = watched(store)
    keyring.put(many[-1])
    learning = asyncio.create_task(watch.refresh())
    turns, seen = 0, []
    while not learning.done():
        await asyncio.sleep(0)
        turns += 1
        seen.append((keyring.known(bearer("s-0")), keyring.known(bearer("s-3999"))))
    assert await learning
    assert turns >= 4_000 // 500
    assert all(last is None for first, last in seen if first is not None)
    assert all(keyring.known(bearer(f"s-{n}")) is not None for n in range(0, 3_999, 97))
    await watch.aclose()


ONE, OTHER = record("s-one"), record("s-other", id="key_2")


@pytest.mark.parametrize(
    ("change", "good"),
    [
        (lambda ring: ring.put(OTHER), True),
        (lambda ring: ring.catch_up({"key_1": ONE, "key_2": OTHER}), True),
        (lambda ring: ring.drop("key_2"), True),
        (lambda ring: ring.put(ONE), False),
        (lambda ring: ring.put(structs.replace(ONE, budgets=DAILY, revision=2)), False),
        (lambda ring: ring.put(record("s-two", former=(Former(ONE.digest, 200.0),))), False),
        (lambda ring: ring.drop("key_1"), False),
        (lambda ring: ring.replace([ONE]), False),
        (lambda ring: ring.replace([]), False),
        (lambda ring: ring.catch_up({}), False),
    ],
    ids=[
        "another", "the same, caught up", "another gone", "put again", "changed", "rotated",
        "revoked", "all anew", "all gone", "caught up with less",
    ],
)  # fmt: skip
def test_who_was_let_in_comes_again_until_its_key_changes(
    change: Callable[[Keyring], None], good: bool
) -> None:
    """As a look at the key would find: the same caller, or it is to be looked for again."""
    keyring = ring(ONE)
    caller = keyring.known(bearer("s-one"))
    assert caller is not None
    assert keyring.still_valid(caller)
    change(keyring)
    assert keyring.still_valid(caller) is (keyring.known(bearer("s-one")) is caller) is good
    assert not ring(ONE).still_valid(caller), "another configuration has callers of its own"


def test_who_comes_again_is_counted_as_used_and_comes_until_its_key_ends() -> None:
    now = [100.0]
    keyring = Keyring([ACME], pepper=PEPPER, wall=lambda: now[0])
    keyring.put(structs.replace(ONE, scopes=Scopes(expires=110.0)))
    caller = keyring.known(bearer("s-one"))
    assert caller is not None
    assert (keyring.used(), keyring.still_valid(caller), keyring.used()) == (
        {"key_1"},
        True,
        {"key_1"},
    )
    now[0] = 110.0
    assert (keyring.still_valid(caller), keyring.used()) == (False, set())


def test_who_came_without_a_key_is_looked_at_each_time() -> None:
    """A key that it sends may be good by then."""
    keyring = Keyring([structs.replace(ACME, anonymous=True)], pepper=PEPPER)
    caller = keyring.caller(bearer("s-one"))
    assert not keyring.still_valid(caller)
    keyring.put(ONE)
    assert keyring.caller(bearer("s-one")) is not caller
