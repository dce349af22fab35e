"""config/routes/use-cases.yaml against the documents' use-case matrix, a row a use case."""

from typing import Final

import pytest

from gateway.core.snapshot import Snapshot
from tests.config.routed import asked_of, rows, shipped, way

# The use case, what is asked, the rule, the best model and its runner-up, those to avoid.
MATRIX: Final = """\
legal analysis            | use_case=legal              | legal              | claude-opus-4-7, gpt-5.5         | deepseek-v4-pro deepseek-v4-flash deepseek-v4-32b
financial analysis        | use_case=financial          | legal              | claude-opus-4-7, gpt-5.5         | deepseek-v4-pro deepseek-v4-flash deepseek-v4-32b
document due diligence    | use_case=due-diligence      | due-diligence      | kimi-k2.6, gpt-5.5               | claude-opus-4-7
  beyond one's window     | use_case=due-diligence tokens=600K | due-diligence | kimi-k2.6                      | claude-opus-4-7 gpt-5.5
code, general             | use_case=code               | code               | claude-opus-4-7, gpt-5.5         | llama-4-405b llama-4-405b-air-gapped
code, cheap               | use_case=cheap-code         | cheap-code         | deepseek-v4-32b, llama-3.3-70b   | claude-opus-4-7
Asian languages           | use_case=asian-languages    | asian-languages    | qwen-3-72b, kimi-k2.6            | llama-4-405b llama-4-405b-air-gapped
  untagged                | say=japanese                | asian-script       | qwen-3-72b, kimi-k2.6            | llama-4-405b llama-4-405b-air-gapped
European languages        | use_case=european-languages | european-languages | gpt-5.5, claude-opus-4-7         | qwen-3-72b qwen-2.5-72b
agents with 10+ tools     | use_case=agents tools=12    | agents             | gpt-5.5, kimi-k2.6               | deepseek-v4-pro deepseek-v4-flash deepseek-v4-32b
  untagged                | tools=10                    | many-tools         | gpt-5.5, kimi-k2.6               | deepseek-v4-pro deepseek-v4-flash deepseek-v4-32b
air-gapped                | use_case=air-gapped         | air-gapped         | llama-4-405b-air-gapped, qwen-3-72b-air-gapped | gpt-5.5 llama-4-405b qwen-3-72b
moderation at scale       | use_case=moderation         | moderation         | deepseek-v4-32b, llama-3.3-70b   | claude-opus-4-7
medical documentation     | use_case=medical            | medical            | gpt-5.5, claude-opus-4-7         | deepseek-v4-pro deepseek-v4-flash deepseek-v4-32b
real-time chat            | use_case=real-time          | real-time          | gpt-5.5-mini, claude-haiku-4-5   | kimi-k2.6
creative, long form       | use_case=creative           | creative           | claude-opus-4-7, kimi-k2.6       | gpt-5.5
research synthesis        | use_case=research           | research           | claude-opus-4-7, deepseek-v4-pro | gpt-5.5
support automation        | use_case=support            | support            | gpt-5.5, deepseek-v4-32b         | claude-opus-4-7
none of these             | say=english                 |                    | claude-sonnet-4-6, gpt-5.5       | claude-opus-4-7
a use case of no list     | use_case=gardening          |                    | claude-sonnet-4-6, gpt-5.5       | claude-opus-4-7
nine tools                | tools=9                     |                    | claude-sonnet-4-6, gpt-5.5       | kimi-k2.6
the tag counts first      | use_case=legal say=japanese tools=12 | legal     | claude-opus-4-7, gpt-5.5         | qwen-3-72b kimi-k2.6
"""  # noqa: E501 - a table


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return shipped(tmp_path_factory.mktemp("cases"), "use-cases.yaml")


@pytest.mark.parametrize(("case", "asked", "rule", "models", "avoid"), rows(MATRIX))
@pytest.mark.parametrize("stream", [False, True])
def test_a_use_case(
    cases: Snapshot, case: str, asked: str, rule: str, models: str, avoid: str, *, stream: bool
) -> None:
    found = way(cases, "use-cases", asked, stream=stream)
    assert (found.rule, found.models) == (rule, models), case
    assert set(avoid.split()) <= cases.catalog.models.keys()
    assert asked_of(found, avoid) == [], case
    # What is checked is held; what has to be quick is not checked.
    assert set(found.flows) == {stream and rule == "real-time"}


def test_every_use_case_has_its_row(cases: Snapshot) -> None:
    tagged = {row[1].partition(" ")[0].removeprefix("use_case=") for row in rows(MATRIX)}
    assert set(cases.tags["use_case"]) <= tagged
    rules = {rule.name for rule in cases.catalog.routes["use-cases"].rules}
    assert rules <= {row[2] for row in rows(MATRIX)}


def test_what_is_air_gapped_has_nowhere_else_to_go(cases: Snapshot) -> None:
    found = way(cases, "use-cases", "use_case=air-gapped")
    for name in found.models.split(", "):
        assert [each.provider for each in cases.catalog.models[name].deployments] == ["vllm"]
