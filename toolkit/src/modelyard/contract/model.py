"""The data contract: a model of conf/contract.yml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from modelyard.data.cells import Reading, Type, Word, as_text
from modelyard.files import write_text
from modelyard.yaml_files import LocatedError, did_you_mean, read_model

Kind = Literal["binary", "multiclass", "regression"]
Role = Literal["feature", "target", "identifier", "ignored"]
Share = Annotated[float, Field(ge=0, le=1)]
Scalar = bool | int | float | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rows(_Strict):
    """Limits of the number of rows."""

    min: int = Field(default=1, ge=1)
    max: int | None = Field(default=None, ge=1)


class TableRules(_Strict):
    """Rules of the whole table.

    Attributes:
        rows: how many there may be.
        duplicates: largest share of repeated rows.
        repeated_rows: whether a row that repeats an earlier one in every column is kept or dropped.
    """

    rows: Rows = Rows()
    duplicates: Share = 1.0
    repeated_rows: Literal["keep", "drop"] = "keep"


class Target(_Strict):
    """The target column. `min_share` is the smallest share that the rarest class may have."""

    column: str
    kind: Kind
    positive: Scalar | None = None
    classes: tuple[Scalar, ...] | None = None
    min_share: Share = 0.0


class Split(_Strict):
    """Shares of the rows held out for validation and test; training gets the rest."""

    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.2, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)


def _as_limit(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


Limit = Annotated[int | float | datetime | None, BeforeValidator(_as_limit)]


class Column(Reading):
    """A column, how its cells are read, and its rules; a rule that is left out is not checked.

    Attributes:
        role: feature, target, identifier or ignored.
        nulls: largest share of missing values, from 0 to 1.
        min: smallest value, of a number or datetime (UTC).
        max: largest value.
        categories: all values that a category may have.
        unseen: whether other values than `categories` are refused or accepted.
        why: the reason for the role "ignored".
    """

    role: Role = "feature"
    nulls: Share | None = None
    min: Limit = None
    max: Limit = None
    categories: tuple[Word, ...] | None = None
    unseen: Literal["refuse", "accept"] = "refuse"
    why: str | None = None


class Contract(_Strict):
    """A table's columns, target, time and sensitive columns, and how rows are split.

    Attributes:
        group: column whose rows belong together, such as those of one person; one part of the split has all of them.
    """

    version: Literal[1] = 1
    table: TableRules = TableRules()
    target: Target
    time: str | None = None
    group: str | None = None
    sensitive: tuple[str, ...] = ()
    split: Split = Split()
    columns: dict[str, Column] = Field(min_length=2)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, content: Any) -> Any:
        """Take unquoted names such as 1 or true as text, and give the target column its role."""
        columns = content.get("columns") if isinstance(content, Mapping) else None
        if not isinstance(columns, Mapping):
            return content  # the fields' own checks say what is missing
        columns = {as_text(name): rule for name, rule in columns.items()}
        target = content.get("target")
        name = target.get("column") if isinstance(target, Mapping) else None
        column = columns.get(name) if isinstance(name, str) else None
        if isinstance(column, Mapping) and "role" not in column:
            columns[name] = {**column, "role": "target"}
        return {**content, "columns": columns}

    @model_validator(mode="after")
    def _agrees(self) -> Contract:
        problems = list(_problems(self))
        if problems:
            raise LocatedError(problems)
        return self

    def __copy__(self) -> Self:
        # Without what `cached_property` keeps: `model_copy` may give the copy other columns.
        return self.model_construct(self.model_fields_set, **dict(self))

    @property
    def kind(self) -> Kind:
        """The kind of problem: binary, multiclass or regression."""
        return self.target.kind

    @cached_property
    def features(self) -> list[str]:
        """Names of the columns that a model is given, in the contract's order."""
        return self.columns_with(role="feature")

    @cached_property
    def identifiers(self) -> list[str]:
        """Names of the columns that identify rows and are no features."""
        return self.columns_with(role="identifier")

    @cached_property
    def read(self) -> list[str]:
        """Names of the columns a table must have: all but ignored ones that nothing else needs."""
        kept = {*self.prepared, *self.identifiers}
        return [name for name in self.columns if name in kept]

    @cached_property
    def prepared(self) -> list[str]:
        """Names of a prepared table's columns: features, target, time, group and sensitive ones."""
        kept = {self.time, self.group, *self.sensitive, *self.features, self.target.column}
        return [name for name in self.columns if name in kept]

    def columns_with(self, *, role: Role) -> list[str]:
        """Names of the columns with a role, in the contract's order."""
        return [name for name, column in self.columns.items() if column.role == role]

    def columns_of(self, *types: Type) -> list[str]:
        """Names of the features of these types, in the contract's order."""
        return [name for name in self.features if self.columns[name].type in types]


def load_contract(path: Path | str) -> Contract:
    """Read a contract.

    Raises:
        UsageError: with file, line and key of everything that does not hold.
    """
    return read_model(
        Path(path), Contract, "infer a contract from your table, or name the file that holds it."
    )


def save_contract(
    contract: Contract,
    path: Path | str,
    *,
    heading: Iterable[str] = (),
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a contract as YAML that loads back equal.

    Args:
        contract: what to write.
        path: the file, replaced as a whole.
        heading: comment lines for the top.
        notes: a comment for each named column.
    """
    write_text(path, contract_text(contract, heading=heading, notes=notes))


def contract_text(
    contract: Contract, *, heading: Iterable[str] = (), notes: Mapping[str, str] | None = None
) -> str:
    """Write a contract as YAML: a line per key and column, without defaults."""
    from modelyard.contract.yaml_lines import comment, entry

    lines = [comment(line, indent=0) for line in heading]
    lines.append("version: 1")
    for key in ("table", "target", "time", "group", "sensitive", "split"):
        value = getattr(contract, key)
        if key == "group" and value is None:
            continue
        if isinstance(value, BaseModel):  # defaults stay visible, but not those of other problems
            value = value.model_dump(exclude_none=True, exclude_defaults=key == "target")
        lines.append(entry(key, value, indent=0))
    lines.append("columns:")
    for name, column in contract.columns.items():
        if notes and notes.get(name):
            lines.append(comment(notes[name], indent=2))
        lines.append(entry(name, column.model_dump(exclude_defaults=True), indent=2))
    return "\n".join(lines) + "\n"


def _problems(contract: Contract) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find problems between fields."""
    columns, target = contract.columns, contract.target
    if contract.split.validation + contract.split.test >= 1:
        yield ("split",), "validation and test together must leave rows to train on (below 1)"
    rows = contract.table.rows
    if rows.max is not None and rows.max < rows.min:
        yield ("table", "rows"), f"max {rows.max} is below min {rows.min}"
    named: list[tuple[tuple[str, ...], str | None]] = [(("target", "column"), target.column)]
    named += [(("time",), contract.time), (("group",), contract.group)]
    named += [(("sensitive",), name) for name in contract.sensitive]
    for where, name in named:
        if name is not None and name not in columns:
            yield where, f'no column "{name}"{did_you_mean(name, columns)}'
    for name, column in columns.items():
        for what in _column_problems(column):
            yield ("columns", name), what
        if (column.role == "target") != (name == target.column):
            yield ("columns", name, "role"), f'the target is "{target.column}", and only that'
    if contract.time == target.column or target.column in contract.sensitive:
        yield ("target", "column"), "the target cannot be the time or a sensitive column"
    if contract.group is not None and contract.group in (contract.time, target.column):
        yield ("group",), "the group cannot be the target or the time"
    elif contract.group is not None and contract.time is not None:
        yield ("group",), "rows are split by time, or at random with groups kept together, not both"
    if contract.time in columns and columns[contract.time].type in ("boolean", "category", "text"):
        yield ("time",), f'"{contract.time}" has no order: expected a datetime or a number'
    if not contract.features:
        yield ("columns",), "no column is a feature: give one the role feature"
    if target.column in columns:
        yield from _target_problems(target, columns[target.column])


def _column_problems(column: Column) -> Iterator[str]:
    ordered: dict[str, tuple[type, ...]] = {
        "number": (int, float),
        "integer": (int, float),
        "datetime": (datetime,),
    }
    limits = [limit for limit in (column.min, column.max) if limit is not None]
    if limits and column.type not in ordered:
        yield f"min and max do not apply to type {column.type}"
    elif not all(isinstance(limit, ordered.get(column.type, ())) for limit in limits):
        yield f"min and max must be of type {column.type}"
    elif len(limits) == 2 and limits[0] > limits[1]:  # type: ignore[operator]
        yield f"min {limits[0]} is above max {limits[1]}"
    if column.categories is not None and column.type != "category":
        yield f"categories do not apply to type {column.type}"
    if column.categories is not None and len(set(column.categories)) < len(column.categories):
        yield "categories repeat"
    if column.unseen == "accept" and column.type != "category":
        yield f"unseen does not apply to type {column.type}"
    for name in ("format", "zone"):
        if getattr(column, name) is not None and column.type != "datetime":
            yield f"{name} does not apply to type {column.type}"
    if column.written is not None:
        kinds = ("boolean",) if column.written.words else ("number", "integer")
        if column.type not in kinds:
            yield f"written, as it is, applies to type {' and '.join(kinds)}, not {column.type}"
    if column.role == "ignored" and not column.why:
        yield "an ignored column needs why: say the reason"


def _target_problems(target: Target, column: Column) -> Iterator[tuple[tuple[str, ...], str]]:
    where = ("target",)
    fitting: dict[str, tuple[type, ...]] = {
        "boolean": (bool,),
        "integer": (int,),
        "category": (str,),
    }
    if target.kind == "regression":
        if column.type not in ("number", "integer"):
            yield (*where, "kind"), f"regression needs a number, the target is {column.type}"
        if target.positive is not None or target.classes is not None or target.min_share:
            yield where, "positive, classes and min_share belong to classification"
        return
    if column.type not in fitting:
        yield (
            (*where, "kind"),
            f"{target.kind} needs a boolean, integer or category, the target is {column.type}",
        )
        return
    if target.kind == "binary":
        if target.positive is None or target.classes is not None:
            yield where, "binary needs positive: the class to find, and no classes"
        named = [target.positive]
    else:
        if target.classes is None or len(set(target.classes)) < 2 or target.positive is not None:
            yield where, "multiclass needs classes: a list of all of them, and no positive"
        named = list(target.classes or ())
    for value in named:
        if value is not None and type(value) not in fitting[column.type]:
            yield where, f"the class {value!r} is not of type {column.type}"
