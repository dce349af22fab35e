"""Keys as values: a scope never allows what its creator's, or its tenant's, does not."""

import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.catalog import Tenant
from gateway.core.keys import (
    Former,
    KeyRecord,
    Scopes,
    client_key,
    digest_of,
    key_text,
    narrowed,
    rotated,
    wider,
)
from gateway.core.patterns import allowed

PATTERN = st.text("ab*", max_size=4)
NAME = st.text("abc", max_size=5)
MODELS = st.lists(PATTERN, max_size=3).map(tuple)
REGION = st.sampled_from(["eu", "us", "on-prem"])
REGIONS = st.none() | st.frozensets(REGION)
RIGHTS = st.frozensets(st.sampled_from(["read", "write"]))
EXPIRES = st.none() | st.floats(0, 3)
SCOPES = st.builds(Scopes, MODELS, REGIONS, RIGHTS, EXPIRES)


def in_region(regions: frozenset[str] | None, region: str) -> bool:
    return regions is None or region in regions


def valid(scopes: Scopes, at: float) -> bool:
    return scopes.expires is None or at < scopes.expires


@given(SCOPES, SCOPES, NAME, REGION, st.sampled_from(["read", "write"]), st.floats(0, 4))
def test_what_is_not_wider_allows_nothing_more(
    child: Scopes, creator: Scopes, name: str, region: str, right: str, at: float
) -> None:
    if wider(child, creator) is None:
        assert allowed(creator.models, name) or not allowed(child.models, name)
        assert in_region(creator.regions, region) or not in_region(child.regions, region)
        assert right in creator.admin or right not in child.admin
        assert valid(creator, at) or not valid(child, at)


@given(MODELS, MODELS)
def test_wider_models_have_a_name_that_shows_it(
    child: tuple[str, ...], creator: tuple[str, ...]
) -> None:
    """So nothing is refused that is within: z in place of each * is a name as good as any."""
    if wider(Scopes(child), Scopes(creator)) is not None:
        names = [pattern.replace("*", "z") for pattern in child]
        assert any(allowed(child, name) and not allowed(creator, name) for name in names)


@given(SCOPES, SCOPES, SCOPES)
def test_a_grandchild_is_within_its_grandparent(a: Scopes, b: Scopes, c: Scopes) -> None:
    assert wider(a, a) is None
    if wider(c, b) is None and wider(b, a) is None:
        assert wider(c, a) is None


@given(MODELS, REGIONS, MODELS, REGIONS, NAME, REGION)
def test_a_narrowed_tenant_may_no_more_than_either(
    mine: tuple[str, ...],
    home: frozenset[str] | None,
    models: tuple[str, ...],
    regions: frozenset[str] | None,
    name: str,
    region: str,
) -> None:
    tenant = Tenant("acme", models=mine, regions=home)
    inner = narrowed(tenant, models, regions)
    assert structs.replace(inner, models=mine, regions=home) == tenant, "all else is as it was"
    if allowed(inner.models, name):
        assert allowed(mine, name)
        assert allowed(models, name)
    both = in_region(home, region) and in_region(regions, region)
    assert in_region(inner.regions, region) == both


@given(MODELS, MODELS, NAME)
def test_a_scope_within_its_tenant_keeps_all_it_has(
    mine: tuple[str, ...], models: tuple[str, ...], name: str
) -> None:
    if wider(Scopes(models), Scopes(mine)) is None:
        inner = narrowed(Tenant("acme", models=mine), models, None)
        assert allowed(inner.models, name) == allowed(models, name)


@pytest.mark.parametrize(
    ("mine", "models", "left"),
    [
        (("*",), ("gpt-*",), ("gpt-*",)),
        (("gpt-*",), ("*",), ("gpt-*",)),
        (("gpt-*", "auto"), ("gpt-5", "auto", "claude-*"), ("gpt-5", "auto")),
        (("gpt-*",), ("*-mini",), ()),
        (("auto",), ("smart",), ()),
        (("auto",), (), ()),
    ],
)
def test_patterns_that_meet(
    mine: tuple[str, ...], models: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert narrowed(Tenant("acme", models=mine), models, None).models == left


def test_a_tenant_that_is_not_narrowed_is_the_same() -> None:
    tenant = Tenant("acme", models=("auto",), regions=frozenset({"eu"}))
    assert narrowed(tenant, ("*",), None) is tenant


@pytest.mark.parametrize(
    ("child", "creator", "told"),
    [
        (Scopes(("gpt-*",)), Scopes(("gpt-5",)), "models: gpt-*"),
        (Scopes(), Scopes(regions=frozenset({"eu"})), "regions: all"),
        (Scopes(regions=frozenset({"us"})), Scopes(regions=frozenset({"eu"})), "regions: us"),
        (Scopes(admin=frozenset({"read"})), Scopes(), "admin: read"),
        (Scopes(), Scopes(expires=5.0), "expires: later than its creator"),
        (Scopes(expires=6.0), Scopes(expires=5.0), "expires: later than its creator"),
        (Scopes(expires=5.0), Scopes(expires=5.0), None),
    ],
)
def test_what_is_wider_is_named(child: Scopes, creator: Scopes, told: str | None) -> None:
    assert wider(child, creator) == told


def test_a_key_is_all_of_its_random_bytes() -> None:
    key = key_text("acme", bytes(range(32)))
    assert key == "tg-acme-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert re.fullmatch(r"tg-admin-[\w-]{43}", key_text("acme", bytes(32), admin=True))
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match="32 random bytes"):
            key_text("acme", bytes(size))


def test_a_digest_says_how_it_was_made() -> None:
    assert digest_of("key", None) == f"sha256:{sha256(b'key').hexdigest()}"
    peppered = hmac.new(b"pepper", b"key", sha256).hexdigest()
    assert digest_of("key", "pepper") == f"hmac-sha256:{peppered}"


OLD, NEW = f"sha256:{'0' * 64}", f"hmac-sha256:{'1' * 64}"
RECORD = KeyRecord("key_1", "acme", OLD, "aaaa", 1.0, former=(Former(NEW, 50.0),))


@pytest.mark.parametrize(
    ("now", "overlap_s", "former"),
    [
        (10.0, 100.0, (Former(NEW, 50.0), Former(OLD, 110.0))),
        (10.0, 0.0, (Former(NEW, 50.0),)),
        (50.0, 1.0, (Former(OLD, 51.0),)),
    ],
)
def test_a_rotated_key_has_a_former_one(
    now: float, overlap_s: float, former: tuple[Former, ...]
) -> None:
    after = rotated(RECORD, NEW, "bbbb", now, overlap_s)
    assert after == structs.replace(RECORD, digest=NEW, last4="bbbb", former=former, revision=2)


def test_former_keys_are_bounded() -> None:
    record = RECORD
    for _ in range(7):
        record = rotated(record, OLD, "bbbb", 10.0, 1_000.0)
    with pytest.raises(ValueError, match="8 former keys"):
        rotated(record, OLD, "bbbb", 10.0, 1_000.0)
    assert len(rotated(record, OLD, "bbbb", 60.0, 1_000.0).former) == 8, "one of them has ended"


@pytest.mark.parametrize(
    ("expires", "until", "ends"),
    [(None, None, None), (5.0, None, 5.0), (None, 3.0, 3.0), (5.0, 3.0, 3.0), (3.0, 5.0, 3.0)],
)
def test_a_former_key_ends_with_the_first_of_its_ends(
    expires: float | None, until: float | None, ends: float | None
) -> None:
    record = structs.replace(RECORD, scopes=Scopes(expires=expires))
    assert client_key(record, NEW, until).expires == ends
