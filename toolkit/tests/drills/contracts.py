"""Contracts of small tables with a time column."""

from __future__ import annotations

from modelyard.contract.model import Contract

TARGETS = {
    "binary": ({"kind": "binary", "positive": "yes"}, "category"),
    "multiclass": ({"kind": "multiclass", "classes": ["a", "b", "c"]}, "category"),
    "regression": ({"kind": "regression"}, "number"),
}


def contract(kind: str = "binary", time: str | None = "at") -> Contract:
    target, of_type = TARGETS[kind]
    return Contract.model_validate(
        {
            "target": {"column": "label", **target},
            "time": time,
            "columns": {
                "key": {"type": "integer", "role": "identifier"},
                "at": {"type": "datetime"},
                "size": {"type": "number"},
                "label": {"type": of_type},
            },
        }
    )
