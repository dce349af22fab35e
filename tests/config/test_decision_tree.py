"""config/routes/decision-tree.yaml against the documents' decision tree, a row a question."""

from pathlib import Path
from typing import Final

import pytest

from gateway.core.snapshot import Snapshot
from tests.config.routed import asked_of, rows, shipped, way

ON_PREM: Final = (
    "llama-4-405b-on-prem, qwen-3-72b-on-prem, llama-4-70b-on-prem, deepseek-v4-32b-on-prem"
)

# The question, what is asked, the rule, the models (rungs apart by >), models that are never asked.
TREE: Final = f"""\
1 must stay on premises    | region=on-prem             | on-premises     | {ON_PREM} | gpt-5.5 claude-opus-4-7 kimi-k2.6
1 sensitive data           | data=sensitive             | sensitive       | {ON_PREM} | gpt-5.5 claude-opus-4-7 kimi-k2.6
2 under 500 ms             | max_latency_ms=400         | real-time       | gpt-5.5-mini, claude-haiku-4-5 | claude-opus-4-7 gpt-5.5
3 tight budget             | max_cost_usd=0.02          | tight-budget    | deepseek-v4-flash, llama-4-70b-on-prem | claude-opus-4-7 gpt-5.5
  batch                    | work=batch                 | batch           | deepseek-v4-32b, deepseek-v4-flash, llama-3.3-70b > gpt-5.5 | claude-opus-4-7
4 context over 500K        | tokens=600K                | long-context    | kimi-k2.6 > claude-opus-4-7 | gpt-5.5 deepseek-v4-32b
5 high stakes, legal       | domain=legal               | high-stakes     | claude-opus-4-7 > gpt-5.5 | deepseek-v4-32b
5 high stakes, financial   | domain=financial           | high-stakes     | claude-opus-4-7 > gpt-5.5 | deepseek-v4-32b
5 high stakes, medical     | domain=medical             | high-stakes     | claude-opus-4-7 > gpt-5.5 | deepseek-v4-32b
  Asian languages          | say=japanese               | asian-languages | qwen-3-72b, kimi-k2.6 > gpt-5.5 | llama-4-405b
  Asian languages          | say=chinese                | asian-languages | qwen-3-72b, kimi-k2.6 > gpt-5.5 | llama-4-405b
  Asian languages          | say=korean                 | asian-languages | qwen-3-72b, kimi-k2.6 > gpt-5.5 | llama-4-405b
6 general, tools           | tools=1                    | tools           | gpt-5.5 > claude-opus-4-7 | deepseek-v4-32b
7 else                     | say=english                |                 | deepseek-v4-32b > gpt-5.5 > claude-opus-4-7 | kimi-k2.6
  else, with an image      | images                     |                 | gpt-5.5 > claude-opus-4-7 | deepseek-v4-32b
"""  # noqa: E501 - a table

# Where two questions have an answer, which one counts.
ORDER: Final = f"""\
residency before latency   | region=on-prem max_latency_ms=400       | on-premises  | {ON_PREM} | gpt-5.5-mini
residency before size      | region=on-prem tokens=600K              | on-premises  |  | kimi-k2.6
sensitive before batch     | data=sensitive work=batch               | sensitive    | {ON_PREM} | deepseek-v4-32b
latency before cost        | max_latency_ms=400 max_cost_usd=0.02 max_tokens=300 | real-time | gpt-5.5-mini, claude-haiku-4-5 | deepseek-v4-flash
latency before quality     | max_latency_ms=400 domain=legal         | real-time    | gpt-5.5-mini, claude-haiku-4-5 | claude-opus-4-7
cost before quality        | max_cost_usd=0.02 domain=legal          | tight-budget | deepseek-v4-flash, llama-4-70b-on-prem | claude-opus-4-7
batch before quality       | work=batch domain=legal                 | batch        | deepseek-v4-32b, deepseek-v4-flash, llama-3.3-70b > gpt-5.5 | claude-opus-4-7
size before stakes         | tokens=600K domain=legal                | long-context | kimi-k2.6 > claude-opus-4-7 | gpt-5.5
stakes before language     | say=japanese domain=legal               | high-stakes  | claude-opus-4-7 > gpt-5.5 | qwen-3-72b
language before tools      | say=japanese tools=1                    | asian-languages | qwen-3-72b, kimi-k2.6 > gpt-5.5 | claude-opus-4-7
no SLA that anybody keeps  | max_latency_ms=400 tokens=600K          | long-context | kimi-k2.6 > claude-opus-4-7 | gpt-5.5-mini
"""  # noqa: E501 - a table

# Both sides of each number in the file.
EDGES: Final = """\
500 ms | max_latency_ms=500 | real-time
501 ms | max_latency_ms=501 |
0.02 USD | max_cost_usd=0.02 | tight-budget
0.03 USD | max_cost_usd=0.03 |
498K | tokens=498K | high-stakes
502K | tokens=502K | long-context
178K | max_latency_ms=500 tokens=178K | real-time
182K | max_latency_ms=500 tokens=182K |
public data | data=public |
interactive work | work=interactive |
a domain of no list | domain=cooking |
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return shipped(tmp_path_factory.mktemp("tree"), "decision-tree.yaml")


@pytest.mark.parametrize(("question", "asked", "rule", "models", "never"), rows(TREE + ORDER))
@pytest.mark.parametrize("stream", [False, True])
def test_a_question(
    tree: Snapshot, question: str, asked: str, rule: str, models: str, never: str, *, stream: bool
) -> None:
    found = way(tree, "decision-tree", asked, stream=stream)
    assert (found.rule, found.models) == (rule, models), question
    assert set(never.split()) <= tree.catalog.models.keys()
    assert asked_of(found, never) == [], question
    # What is checked is held; what has to be quick is not checked.
    assert set(found.flows) <= {stream and rule == "real-time"}


@pytest.mark.parametrize(("edge", "asked", "rule"), rows(EDGES))
def test_an_edge(tree: Snapshot, edge: str, asked: str, rule: str) -> None:
    high = "domain=legal " if rule == "high-stakes" else ""
    assert way(tree, "decision-tree", high + asked).rule == rule, edge


@pytest.mark.parametrize("asked", ["region=on-prem", "data=sensitive", "data=sensitive images"])
def test_what_must_stay_has_nowhere_else_to_go(tree: Snapshot, asked: str) -> None:
    found = way(tree, "decision-tree", asked)
    assert {name.partition("/")[0] for name in found.deployments} <= {"vllm"}
    for name in map(str.strip, ON_PREM.split(",")):
        assert [each.provider for each in tree.catalog.models[name].deployments] == ["vllm"]


def test_batches_go_to_the_cheapest(tree: Snapshot) -> None:
    """One's own machines, then by the price of the hour: noon is a calm one at DeepSeek."""
    hosts = way(tree, "decision-tree", "work=batch").deployments
    assert [name for name in hosts if name.startswith("vllm/")] == list(hosts[:3])


def test_both_files_go_together(tmp_path: Path) -> None:
    found = shipped(tmp_path, "decision-tree.yaml", "use-cases.yaml")
    assert list(found.catalog.routes) == ["decision-tree", "use-cases"]
