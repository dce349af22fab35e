"""Every way to get the configuration wrong, and the exact words it gets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.config.faults import ConfigError
from gateway.config.load import read
from gateway.config.tree import parse
from gateway.core.snapshot import DIALECTS, QUIRKS
from gateway.core.strategies import OPTIONS
from tests.config.texts import NO_ENV, SOUND, faults

GOLDEN: Final = Path(__file__).with_name("faults.txt")


def cases() -> Iterator[tuple[str, str, list[str]]]:
    """Title, text and report of each case."""
    golden = GOLDEN.read_text("utf-8")
    for stands_for, names in (("DIALECTS", DIALECTS), ("QUIRKS", QUIRKS)):
        golden = golden.replace(f"one of {stands_for}", f"one of {', '.join(names)}")
    golden = golden.replace("known: OPTIONS", f"known: {', '.join(sorted(OPTIONS['vote']))}")
    for block in golden.split("\n# ")[1:]:
        title, *lines = block.rstrip("\n").split("\n")
        old, new, whole, report = (
            [line[2:] for line in lines if line[:1] == mark] for mark in "-+!="
        )
        assert len(lines) == len(old) + len(new) + len(whole) + len(report) + lines.count(""), title
        if whole:
            yield title, "\n".join(whole) + "\n", report
        elif old:
            assert SOUND.count("\n".join(old)) == 1, title
            yield title, SOUND.replace("\n".join(old), "\n".join(new)), report
        else:
            yield title, SOUND + "\n".join(new) + "\n", report


CASES: Final = list(cases())


@pytest.mark.parametrize(("title", "text", "report"), CASES, ids=[case[0] for case in CASES])
def test_a_fault_gets_these_words(title: str, text: str, report: list[str]) -> None:
    assert report, title
    assert faults(text) == report


def test_the_sound_text_has_none() -> None:
    assert faults(SOUND) == []


def test_all_at_once_in_the_order_of_lines() -> None:
    text = SOUND.replace("dialect: openai", "dialect: x").replace("usd: 1", "usd: -1")
    text += "tiers: {cheap: {models: [m2]}}\nlimits: {in_flight: 0}\nbudget: 1\n"
    assert [line.split(": ")[:2] for line in faults(text)] == [
        ["f.yaml:2", "providers.local.dialect"],
        ["f.yaml:10", "tenants.acme.budgets[0].usd"],
        ["f.yaml:11", "tiers.cheap.models[0]"],
        ["f.yaml:12", "limits.in_flight"],
        ["f.yaml:13", "budget"],
    ]


def test_a_faulty_entry_is_still_named() -> None:
    """A tier of a model whose price is wrong names no unknown model."""
    text = SOUND.replace("price: free", "price: fre") + "tiers: {cheap: {models: [m1]}}\n"
    assert [line.split(": ")[1] for line in faults(text)] == ["models.m1.price"]


def test_a_fault_has_its_column() -> None:
    with pytest.raises(ConfigError) as caught:
        read([("f.yaml", SOUND.replace("dialect: openai", "dialect: x"))], NO_ENV)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column, fault.path) == (
        "f.yaml", 2, 20, "providers.local.dialect",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\tb: x\n", r"found character '\t' that cannot start any token"),
        ("b: \x01\n", "a control character is not allowed"),
        (f"b: {'[' * 5000}\n", "nested too deeply"),
    ],
)
def test_what_is_not_yaml(text: str, problem: str) -> None:
    assert faults(SOUND + text) == [f"f.yaml:11: is not valid YAML: {problem}"]


BOMB: Final = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]\n", "a: &a {b: *a}\n"], ids=len)
def test_aliases_cannot_make_a_small_text_endless(text: str) -> None:
    (fault,) = faults(text)
    assert fault.endswith("nested too deeply, or repeated too often, by aliases")


def test_a_file_may_be_as_large_as_it_takes() -> None:
    """Of 6,000 tenants it was refused as one that aliases made endless: there are none."""
    tenants = "".join(f"  t{i}: {{regions: [a, b], models: [a, b, c, d]}}\n" for i in range(6_000))
    assert len(parse("f.yaml", f"tenants:\n{tenants}", {}).root["tenants"]) == 6_000


def test_keys_and_values_cannot_break_the_lines_of_the_report() -> None:
    text = SOUND + '"a\\nf.yaml:1: forged": 1\nlimits: {in_flight: "1\\u2028f.yaml:2: forged"}\n'
    report = faults(text)
    assert len("\n".join(report).splitlines()) == len(report) == 2


def test_nor_can_a_name_that_another_fault_tells_of() -> None:
    owner = f'{{anonymous: true, keys: [{{id: k, hash: "sha256:{7:064}"}}]}}'
    text = SOUND.replace("[{provider: local}]", "[{provider: local}, {provider: local}]")
    text = text.replace("m1:", '"m\\n9: 1":')
    report = faults(f'{text}  "x\\n9: forged": {owner}\n  another: {owner}\n')
    assert len("\n".join(report).splitlines()) == len(report)
    for line in (
        r'is in deployments[0] already: "m\n9: 1" can be deployed once at each provider',
        r'is the hash of tenants."x\n9: forged".keys[0] already',
        r'only one tenant can be anonymous, and "x\n9: forged" is',
    ):
        assert any(fault.endswith(f": {line}") for fault in report), (line, report)
