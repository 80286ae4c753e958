"""Every case of tests/fixtures/lineage, and a score that may rise but not fall."""

from __future__ import annotations

import json

import pytest

from tests.lineage import scorer

CASES = list(scorer.cases())
#: what is known to be wrong, with the reason: docs/lineage.md lists them
KNOWN = json.loads(scorer.KNOWN.read_text(encoding="utf-8")) if scorer.KNOWN.exists() else {}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_case(case: scorer.Case) -> None:
    result = scorer.run(case)
    found = scorer.score(case, result)
    assert not [p for p in result.problems if "failed with" in p.reason]
    if case.id in KNOWN:
        told = {"0": not result.problems, "some": bool(result.problems)}.get(case.problems, True)
        assert not (found.exact_tables and found.exact_columns and told), (
            f"{case.id} is right: strike it from known.json"
        )
        pytest.skip(KNOWN[case.id])
    inputs, outputs = (sorted(scorer.names(ts)) for ts in (result.inputs, result.outputs))
    assert inputs == sorted(case.inputs)
    assert outputs == sorted(case.outputs)
    assert sorted(scorer.edges_of(result)) == sorted(case.edges)
    if case.problems == "0":
        assert result.problems == ()
    elif case.problems == "some":
        assert result.problems


def test_the_score_does_not_fall() -> None:
    held = json.loads(scorer.SCORE.read_text(encoding="utf-8"))
    results: dict[str, list[scorer.Score]] = {}
    for case in CASES:
        one = scorer.score(case, scorer.run(case))
        for group in ("all", case.dialect):
            results.setdefault(group, []).append(one)
    for group, scores in results.items():
        if group in held:
            now = scorer.summary(scores)
            fallen = {k: (v, now[k]) for k, v in held[group].items() if k.endswith("exact") and now[k] < v - 1e-9}
            assert not fallen, group
