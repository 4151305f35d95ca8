"""Words in the names of columns."""

from __future__ import annotations

import re

ID_WORDS = {"id", "ids", "uuid", "guid", "key", "identifier"}
NAMING_NUMBERS = {
    *("number", "no", "nr", "num", "zip", "zipcode", "postcode", "plz"),
    *("phone", "telephone", "telefon", "mobile", "fax", "sku", "ean", "gtin", "isbn", "ssn"),
}
POSTAL = {"zip", "post", "postal", "pin"}
# Persons and things of which a table often has several rows each.
SOMEBODY = {
    *("account", "animal", "client", "customer", "device", "driver", "employee", "family", "firm"),
    *("household", "machine", "member", "participant", "patient", "person", "player", "respondent"),
    *("rider", "sensor", "student", "subject", "user", "vehicle"),
}
# What programs call the labels of rows that they write as a column without a name.
UNNAMED = re.compile(
    r"unnamed: ?\d+|column_\d+|level_\d|index|row_?(names?|id|number|num|nr)?", re.I
)


def name_tokens(name: str) -> list[str]:
    """Split a column name into words, lower case: "PassengerId", "passenger_id" -> passenger, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [token.lower() for token in re.findall(r"[^\W_]+", spaced)]


def is_identifying(name: str) -> bool:
    """Whether a name says that its column identifies something: id, key."""
    tokens = name_tokens(name)
    return bool(tokens) and (tokens[-1] in ID_WORDS or tokens[0] in ID_WORDS)


def names_something(name: str) -> bool:
    """Whether a name says that its numbers are no amounts: an id, a number, a postcode."""
    *others, last = name_tokens(name) or [""]
    return (
        is_identifying(name)
        or last in NAMING_NUMBERS
        or (last == "code" and bool(others) and others[-1] in POSTAL)
    )


def names_somebody(name: str) -> bool:
    """Whether a name says that its column names persons or things: an id, a patient."""
    tokens = name_tokens(name)
    return is_identifying(name) or (bool(tokens) and tokens[-1] in SOMEBODY)


def is_index(name: str) -> bool:
    """Whether a name is one that programs give to the labels of rows."""
    return UNNAMED.fullmatch(name.strip()) is not None
