"""When a model is a rival on rows of another contract, and when a new line of versions begins."""

from __future__ import annotations

from typing import Any

import pytest
from modelyard.console import listed
from modelyard.contract.line import another_line
from modelyard.contract.model import Contract

CHURN: dict[str, Any] = {
    "target": {"column": "churn", "kind": "binary", "positive": True},
    "columns": {
        "age": {"type": "integer"},
        "plan": {"type": "category"},
        "since": {"type": "datetime"},
        "churn": {"type": "boolean"},
    },
}
GRADE: dict[str, Any] = {
    "target": {"column": "grade", "kind": "multiclass", "classes": ["a", "b", "c"]},
    "columns": {"age": {"type": "integer"}, "grade": {"type": "category"}},
}
SEX: dict[str, Any] = {
    "target": {"column": "sex", "kind": "binary", "positive": "f"},
    "columns": {
        "age": {"type": "integer"},
        "sex": {"type": "category", "categories": ["f", "m"]},
    },
}


def changed(content: dict[str, Any], target: dict[str, Any], **columns: Any) -> Contract:
    """A contract with other values of the target, and other columns; None leaves one out."""
    kept = {name: rule for name, rule in (content["columns"] | columns).items() if rule is not None}
    return Contract.model_validate({"target": content["target"] | target, "columns": kept})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CHURN, changed(CHURN, {})),
        (CHURN, changed(CHURN, {}, visits={"type": "number"})),
        (CHURN, changed(CHURN, {}, age={"type": "number"}, plan={"type": "text"})),
        (CHURN, changed(CHURN, {"positive": False})),
        (GRADE, changed(GRADE, {"classes": ["b", "c", "d"]})),
        (SEX, changed(SEX, {"positive": "m"})),
    ],
    ids=["same", "one more column", "wider types", "other side", "one class new", "the other"],
)
def test_a_model_stays_a_rival_while_it_can_predict_the_same(
    old: dict[str, Any], new: Contract
) -> None:
    assert another_line(changed(old, {}), new) is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (CHURN, changed(GRADE, {}), 'predicts "churn", and the contract asks for "grade"'),
        (
            CHURN,
            changed(CHURN, {"kind": "regression", "positive": None}, churn={"type": "number"}),
            'predicts "churn" as binary, in the contract it is regression',
        ),
        (CHURN, changed(CHURN, {}, plan=None, since=None), "does not have: plan, since"),
        (
            CHURN,
            changed(CHURN, {}, plan={"type": "category", "role": "ignored", "why": "leaks"}),
            "does not have: plan",
        ),
        (CHURN, changed(CHURN, {}, age={"type": "category"}), "another type now: age"),
        (GRADE, changed(GRADE, {"classes": ["1", "2", "3"]}), "other classes"),
        (
            SEX,
            changed(
                SEX,
                {"positive": "female"},
                sex={"type": "category", "categories": ["female", "male"]},
            ),
            "other classes",
        ),
    ],
)
def test_another_target_or_a_column_that_is_gone_begins_a_new_line(
    old: dict[str, Any], new: Contract, why: str
) -> None:
    assert why in (another_line(changed(old, {}), new) or "")


def test_of_many_columns_the_first_five_are_named_in_the_contracts_order() -> None:
    many: dict[str, Any] = {f"x{i}": {"type": "number"} for i in range(412, 0, -1)}
    old = changed(CHURN, {}, **many)
    assert "x412, x411, x410, x409, x408 and 407 more" in (
        another_line(old, changed(CHURN, {})) or ""
    )


def test_a_list_of_five_is_whole() -> None:
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdef") == "a, b, c, d, e and 1 more"
    assert listed(range(1007), separator="\n").splitlines()[-2:] == ["4", "and 1,002 more"]
