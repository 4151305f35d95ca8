"""Lines of versions: models that predict the same target from columns that the table has."""

from __future__ import annotations

from modelyard.console import listed
from modelyard.contract.model import Contract

_FAMILIES = {"integer": "number", "text": "category"}


def another_line(old: Contract, new: Contract) -> str | None:
    """Say why a model of one contract cannot be compared on rows of another; None where it can."""
    goal = new.target
    if old.target.column != goal.column:
        return f'it predicts "{old.target.column}", and the contract asks for "{goal.column}"'
    if old.kind != goal.kind:
        return f'it predicts "{goal.column}" as {old.kind}, in the contract it is {goal.kind}'
    if not _same_classes(old, new):
        return f'it knows other classes of "{goal.column}" than the contract'
    if missing := [name for name in old.features if name not in new.prepared]:
        return f"it takes columns that the contract does not have: {listed(missing)}"
    others = [name for name in old.features if _family(old, name) != _family(new, name)]
    if others:
        return f"it takes columns that have another type now: {listed(others)}"
    return None


def _same_classes(old: Contract, new: Contract) -> bool:
    column = new.target.column
    if old.kind == "regression":
        return True
    if _family(old, column) != _family(new, column):
        return False
    if old.kind == "multiclass":
        return not set(old.target.classes or ()).isdisjoint(new.target.classes or ())
    known = new.columns[column].categories
    return known is None or old.target.positive in known


def _family(contract: Contract, name: str) -> str:
    kind = contract.columns[name].type
    return _FAMILIES.get(kind, kind)
