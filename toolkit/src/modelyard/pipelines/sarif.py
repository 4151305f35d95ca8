"""Findings in SARIF 2.1.0, the format of code scanning (https://docs.oasis-open.org/sarif/sarif/v2.1.0/)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from modelyard import __version__
from modelyard.yaml_files import Problem

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_RULES = {  # level → id and what it is
    "error": (
        "azure-ml-file",
        "A file of Azure ML that Azure ML would refuse, or that does not fit the other files.",
    ),
    "warning": ("azure-retirement", "A file of Azure ML names what Azure will retire."),
}


def sarif(found: Mapping[str, Iterable[Problem]], root: Path) -> str:
    """Write findings as a SARIF log.

    Args:
        found: findings by their level, `error` or `warning`.
        root: folder that the paths are relative to.
    """
    driver = {
        "name": "mlops check",
        "semanticVersion": __version__,
        "rules": [
            {
                "id": name,
                "shortDescription": {"text": text},
                "fullDescription": {"text": text},
                "help": {"text": "`mlops docs run` says what `mlops check` reads."},
                "defaultConfiguration": {"level": level},
            }
            for level, (name, text) in _RULES.items()
        ],
    }
    results = [
        {
            "ruleId": _RULES[level][0],
            "ruleIndex": list(_RULES).index(level),
            "level": level,
            "message": {"text": one.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(one.file, root), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": one.line},
                    }
                }
            ],
        }
        for level, problems in found.items()
        for one in problems
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _uri(file: Path, root: Path) -> str:
    path = file.resolve()
    inside = path.relative_to(root.resolve()) if path.is_relative_to(root.resolve()) else path
    return quote(inside.as_posix())
