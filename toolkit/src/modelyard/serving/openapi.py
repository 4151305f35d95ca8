"""OpenAPI description of the endpoint, made from the contract of the model that it serves.

The Azure ML inference server answers /swagger.json?version=2, 3 or 3.1 with the files swagger2.json,
swagger3.json and swagger3.1.json of its root folder, which it reads after `init`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.console import shown
from modelyard.contract.model import Column, Contract
from modelyard.data.numbers import example
from modelyard.files import write_text
from modelyard.serving.payload import LONGEST_ID, Limits

if TYPE_CHECKING:
    from modelyard.serving.service import Service

Schema = dict[str, Any]

# As `cells.ISO_TIME`, with valid months, days and hours; a month may have fewer days.
DATE_PATTERN = (
    r"^(17|18|19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-][01][0-9]:?[0-5][0-9])?)?$"
)
DATES = "ISO 8601. With an offset it is converted to UTC; without one it is taken for UTC."


def write(service: Service, folder: Path) -> None:
    """Write the description in every version that the server offers."""
    newest = description(service)
    for version, content in (
        ("3.1", newest),
        ("3", {**_without_null_types(newest), "openapi": "3.0.3"}),
        ("2", _swagger(newest)),
    ):
        write_text(folder / f"swagger{version}.json", json.dumps(content) + "\n")


def description(service: Service) -> Schema:
    """Make the OpenAPI 3.1 description of a service."""
    contract, limits = service.contract, service.reader.limits
    example = _example(service)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": service.about["name"],
            "version": service.about["version"],
            "description": f'Predicts "{contract.target.column}" of each row ({contract.kind}). '
            "Rows count from 1 in error messages.",
        },
        # Azure ML checks a key or a token; the server itself does not.
        "security": [{}, {"Bearer": []}],
        "paths": {
            "/score": {
                "post": {
                    "operationId": "score",
                    "summary": "Predictions for rows",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/ServiceInput"},
                                "example": example,
                            }
                        },
                    },
                    "responses": {
                        "200": _answer("Predictions, in the order of the rows", "ServiceOutput"),
                        "400": _answer("A body that breaks a rule", "Refusal"),
                        "default": _answer("Any other answer", "Message"),
                    },
                }
            },
            "/": {
                "get": {
                    "operationId": "healthy",
                    "summary": "Whether the server is up",
                    "responses": {
                        "200": {
                            "description": "It is",
                            "content": {"text/html": {"schema": {"type": "string"}}},
                        }
                    },
                }
            },
        },
        "components": {
            "schemas": {
                "Record": record_schema(contract),
                "ServiceInput": _input_schema(contract, limits),
                "ServiceOutput": _output_schema(contract),
                "Refusal": _refusal_schema(),
                "Message": _object({"message": {"type": "string"}}, more=True),
            },
            "securitySchemes": {
                "Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}
            },
        },
    }


def record_schema(contract: Contract) -> Schema:
    """Make the schema of a row as a record."""
    properties = {name: value_schema(contract.columns[name]) for name in contract.features}
    others = {
        name: {"description": f"Not a feature ({rule.role}): accepted and ignored."}
        for name, rule in contract.columns.items()
        if name not in properties
    }
    return {
        "type": "object",
        "properties": properties | others,
        "required": list(properties),
        "additionalProperties": False,
    }


def value_schema(rule: Column) -> Schema:
    """Make the schema of a column's values."""
    schema: Schema = {"description": rule.why} if rule.why else {}
    may_miss = rule.nulls != 0
    if rule.type in ("number", "integer"):
        schema["type"] = [rule.type]
        schema |= {"minimum": rule.min} if rule.min is not None else {}
        schema |= {"maximum": rule.max} if rule.max is not None else {}
        if rule.type == "integer":
            schema["format"] = "int64"
        if rule.written:
            schema["description"] = f"Text such as {example(rule.written)} is read as a number too."
    elif rule.type == "boolean":
        schema["type"] = ["boolean"]
    elif rule.type == "datetime":
        ways = "".join(f" {one} is read too." for one in rule.formats)
        zone = f" Without an offset it is taken for {rule.zone}." if rule.zone else ""
        schema |= {
            "type": ["string"],
            "description": (f"ISO 8601.{zone}" if zone else DATES) + ways,
        }
        schema |= {} if rule.format else {"pattern": DATE_PATTERN}
    elif rule.categories and rule.unseen == "refuse":
        schema["enum"] = [*rule.categories, *_as_numbers(rule.categories)]
        return schema | ({"enum": [*schema["enum"], None]} if may_miss else {})
    else:
        schema["type"] = ["string", "number", "boolean"]
        schema |= {} if may_miss else {"pattern": r"\S"}
    schema["type"] += ["null"] if may_miss else []
    return schema


def _as_numbers(words: Iterable[str]) -> list[Any]:
    """List the numbers and booleans that are read as these words."""
    found: list[Any] = []
    for word in words:
        try:
            value = json.loads(word)
        except ValueError:
            continue
        if isinstance(value, (bool, int)) and json.dumps(value) == word:
            found.append(value)
    return found


def _input_schema(contract: Contract, limits: Limits) -> Schema:
    records = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Record"},
        "minItems": 1,
        "maxItems": limits.rows,
    }
    split = _object(
        {
            "columns": {"type": "array", "items": {"enum": list(contract.columns)}},
            "index": {"type": "array", "description": "Ignored."},
            "data": {
                "type": "array",
                "items": {"type": "array", "description": "One value for each column."},
                "minItems": 1,
                "maxItems": limits.rows,
            },
        },
        required=("columns", "data"),
    )
    columns = {
        "type": "object",
        "description": "A list of values for each column.",
        "properties": {
            name: {"type": "array", "items": value_schema(contract.columns[name])}
            for name in contract.features
        },
        "required": contract.features,
    }
    ids = {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
        "uniqueItems": True,
        "description": "One id for each row, to join its true value to later.",
    }
    wrapped = {"input_data": {"anyOf": [split, records, columns]}, "correlation_ids": ids}
    return {
        "anyOf": [
            records,
            _object({"data": records, "correlation_ids": ids}, required=("data",)),
            _object(wrapped, required=("input_data",)),
        ]
    }


def _output_schema(contract: Contract) -> Schema:
    target = contract.columns[contract.target.column]
    chance: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    if contract.kind == "multiclass":
        classes = [shown(value) for value in contract.target.classes or ()]
        chance = _object(dict.fromkeys(classes, chance))
    types = {"boolean": "boolean", "integer": "integer", "number": "number"}
    single = "number" if contract.kind == "regression" else types.get(target.type, "string")
    lists: Schema = {"predictions": {"type": "array", "items": {"type": single}}}
    if contract.kind != "regression":
        lists["probabilities"] = {"type": "array", "items": chance}
        if contract.kind == "binary":
            positive = shown(contract.target.positive)
            lists["probabilities"]["description"] = f"Of the class {positive}"
    text = {"type": "string"}
    return _object(
        {
            **lists,
            "model": _object({"name": text, "version": text}),
            "correlation_ids": {"type": "array", "items": text},
        }
    )


def _refusal_schema() -> Schema:
    problem = _object(
        {
            "field": {"type": ["string", "null"]},
            "rule": {"type": "string"},
            "row": {"type": ["integer", "null"], "minimum": 1},
            "message": {"type": "string"},
        }
    )
    errors = {"type": "array", "items": problem, "minItems": 1}
    return _object({"message": {"type": "string"}, "errors": errors})


def _object(
    properties: Schema, *, required: Iterable[str] | None = None, more: bool = False
) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": more,
    }


def _answer(description: str, schema: str) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _example(service: Service) -> Any:
    """Make an example body from a row of the model's example."""
    names = service.contract.features
    rows = [dict(zip(names, row, strict=True)) for row in service.example[:1]]
    return json.loads(json.dumps(rows, default=lambda value: value.isoformat()))


def _without_null_types(schema: Any) -> Any:
    """Convert a schema to OpenAPI 3.0: `nullable` instead of the type null, at most one type."""
    if isinstance(schema, list):
        return [_without_null_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        key: value if key in ("enum", "example") else _without_null_types(value)
        for key, value in schema.items()
    }
    types = schema.get("type")
    if isinstance(types, list):
        named = [name for name in types if name != "null"]
        del result["type"]
        result |= (
            {"type": named[0]} if len(named) == 1 else {"anyOf": [{"type": name} for name in named]}
        )
        result |= {"nullable": True} if "null" in types else {}
    elif None in schema.get("enum", ()):
        result["nullable"] = True
    return result


def _swagger(newest: Schema) -> Schema:
    """Convert a description to Swagger 2.0, which has no alternatives: bodies are a list of records."""
    schemas = json.loads(
        json.dumps(_without_null_types(newest["components"]["schemas"]))
        .replace("#/components/schemas/", "#/definitions/")
        .replace('"nullable"', '"x-nullable"')
    )
    schemas["ServiceInput"] = schemas["ServiceInput"]["anyOf"][0]
    for name, value in schemas["Record"]["properties"].items():
        if "anyOf" in value:
            schemas["Record"]["properties"][name] = {"description": "Text, a number or a boolean."}
    paths = json.loads(json.dumps(newest["paths"]))
    for operations in paths.values():
        for operation in operations.values():
            operation["produces"] = ["application/json"]
            for answer in operation["responses"].values():
                content = answer.pop("content")
                schema = next(iter(content.values()))["schema"]
                answer["schema"] = json.loads(
                    json.dumps(schema).replace("#/components/schemas/", "#/definitions/")
                )
            if operation.pop("requestBody", None):
                operation["consumes"] = ["application/json"]
                body = {"$ref": "#/definitions/ServiceInput"}
                operation["parameters"] = [
                    {"name": "rows", "in": "body", "required": True, "schema": body}
                ]
    return {
        "swagger": "2.0",
        "info": newest["info"],
        "schemes": ["https", "http"],
        "securityDefinitions": newest["components"]["securitySchemes"],
        "security": [{"Bearer": []}],
        "paths": paths,
        "definitions": schemas,
    }
