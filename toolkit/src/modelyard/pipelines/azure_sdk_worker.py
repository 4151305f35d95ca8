"""Loads files with azure-ai-ml, offline. A program of its own: it runs where azure-ai-ml is, the toolkit need not be there.

Reads [[path, kind], …] from standard input, writes [[path, [key, …], message], …].
"""

import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

LOADERS = (  # part of the kind → function of azure.ai.ml.entities._load_functions; the first that fits
    ("component", "load_component"),
    ("kubernetes endpoint", "load_online_endpoint"),
    ("online endpoint", "load_online_endpoint"),
    ("batch endpoint", "load_batch_endpoint"),
    ("kubernetes deployment", "load_online_deployment"),
    ("online deployment", "load_online_deployment"),
    ("pipeline batch deployment", "load_pipeline_component_batch_deployment"),
    ("plain batch deployment", "load_batch_deployment"),
    ("batch deployment", "load_model_batch_deployment"),
    ("schedule", "load_schedule"),
    ("monitor", "load_schedule"),
    ("datastore", "load_datastore"),
    ("connection", "load_connection"),
    ("feature store entity", "load_feature_store_entity"),
    ("feature store", "load_feature_store"),
    ("feature set", "load_feature_set"),
    ("compute", "load_compute"),
    ("virtual machine", "load_compute"),
    ("synapse spark", "load_compute"),
    ("workspace", "load_workspace"),
    ("hub", "load_workspace"),
    ("project", "load_workspace"),
    ("serverless endpoint", "load_serverless_endpoint"),
    ("registry", "load_registry"),
    ("environment", "load_environment"),
    ("model", "load_model"),
    ("data import", ""),
    ("data transfer", "load_job"),
    ("data", "load_data"),
)


def loader(kind: str) -> str:
    """The name of the function that loads a kind of file; empty where there is none."""
    for part, name in LOADERS:
        if part in kind:
            return name
    return "load_job"


def leaves(messages: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[list[Any], str]]:
    """Yield the path and text of each message below marshmallow's nested ones.

    Of several alternatives the one with the fewest faults is taken.
    """
    if isinstance(messages, dict):
        for key, value in messages.items():
            yield from leaves(
                value, keys if key in ("_schema", "value", "key", "*") else (*keys, key)
            )
    elif isinstance(messages, (list, tuple)):
        nested = [list(leaves(one, keys)) for one in messages if isinstance(one, (dict, list))]
        texts = [str(one) for one in messages if not isinstance(one, (dict, list))]
        if nested:
            yield from min(nested, key=len)
        elif texts:
            yield list(keys), texts[0]
    else:
        yield list(keys), str(messages)


def explained(error: BaseException) -> list[tuple[list[Any], str]]:
    """The paths and texts of an error, or of the one behind it."""
    seen: BaseException | None = error
    while seen is not None:
        messages = getattr(seen, "messages", None)
        if isinstance(messages, dict) and set(messages) - {"_schema"}:
            return list(leaves(messages))
        seen = seen.__cause__ or seen.__context__
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    with contextlib.suppress(ValueError, KeyError, TypeError):
        start = str(text).index("{")
        found = json.JSONDecoder().raw_decode(str(text)[start:])[0]
        if "errors" in found:
            return [(keys_of(one["path"]), one["message"]) for one in found["errors"]]
        return list(leaves(found))
    return [([], " ".join(str(text).split())[:500])]


def keys_of(path: str | None) -> list[Any]:
    """The keys of a path such as `jobs.train.inputs`."""
    return (
        []
        if path in (None, "*")
        else [int(key) if key.isdigit() else key for key in str(path).split(".")]
    )


def main() -> None:
    """Load each file, and write what is wrong with it."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from azure.ai.ml.entities import _load_functions

        for path, kind in json.load(sys.stdin):
            name = loader(kind)
            if not name:
                continue
            try:
                entity = getattr(_load_functions, name)(path)
                if name in ("load_job", "load_component") and hasattr(entity, "_validate"):
                    for where, message in entity._validate().error_messages.items():
                        out.append([path, keys_of(where), message])
            except Exception as error:
                out += [[path, where, message] for where, message in explained(error)]
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
