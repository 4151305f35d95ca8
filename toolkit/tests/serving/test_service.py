"""Answers to requests are the model's own predictions; wrong requests and models are refused."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_delay import train
from modelyard.errors import UsageError
from modelyard.modelling import predicting, saving
from modelyard.serving import collect, deployed, openapi, payload, service
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.project import ROOT

LIMITS = payload.Limits()


def load(folder: Any, **options: Any) -> service.Service:
    return service.Service(folder, name="delay", version="7", limits=LIMITS, **options)


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(rows.to_json(orient="records", date_format="iso"))


@pytest.fixture
def binary(mixed_bench):
    assert mixed_bench.train("--learner", "boosting", "--max-iterations", "10") == 0
    return mixed_bench


def test_answers_are_the_models_own(binary):
    rows = binary.test_rows()
    expected = predicting.predict(saving.load_model(binary.folder / "model"), rows, binary.contract)
    serving = load(binary.folder / "model")
    assert serving.path == "fast path"
    status, content = serving.answer(json.dumps(records(rows)).encode())
    assert status == 200
    assert content["model"] == {"name": "delay", "version": "7"}
    np.testing.assert_allclose(content["probabilities"], expected.score, atol=1e-9)
    assert [answer == "yes" for answer in content["predictions"]] == expected.label.tolist()
    ids = content["correlation_ids"]
    assert len(set(ids)) == len(rows) and ids[3].endswith("_3")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("group", {"kind": "multiclass", "classes": ["a", "b", "c"]}),
        ("number", {"kind": "regression"}),
    ],
)
def test_other_kinds_answer_in_their_own_way(bench, mixed, name, target):
    table = mixed[["number", "flag", "group", "value"]].dropna()
    types = {"flag": "boolean", "value": "number", "number": "number", "group": "category"}
    made = bench(table, {"column": name, **target}, types)
    assert made.train("--max-iterations", "5") == 0
    rows = made.test_rows().drop(columns=name)
    expected = predicting.predict(saving.load_model(made.folder / "model"), rows, made.contract)
    status, content = load(made.folder / "model").answer(json.dumps(records(rows)).encode())
    assert status == 200
    if target["kind"] == "regression":
        assert "probabilities" not in content
        np.testing.assert_allclose(content["predictions"], expected.score, atol=1e-9)
    else:
        chances = [[row[name] for name in "abc"] for row in content["probabilities"]]
        np.testing.assert_allclose(chances, expected.score, atol=1e-9)
        assert content["predictions"] == [["a", "b", "c"][place] for place in expected.label]


def test_a_model_of_another_kind_answers_by_its_own_prediction(binary, caplog):
    caplog.set_level(logging.INFO, "azmlinfsrv.service")
    given = binary.test_rows()[binary.contract.features]
    swapped = DummyClassifier(strategy="prior").fit(given, ["no", "no", "yes"] * (len(given) // 3))
    saving.save_model(swapped, binary.folder / "other", given, binary.contract)
    serving = load(binary.folder / "other")
    assert serving.path == "model's own prediction"
    assert "answers come from the model's own prediction" in caplog.text
    status, content = serving.answer(json.dumps(records(given)).encode())
    assert status == 200
    assert content["probabilities"] == [pytest.approx(1 / 3)] * len(given)


def test_a_fast_path_that_differs_is_not_used(binary, monkeypatch, caplog):
    real = service.build_fast_path

    def off(*args: Any) -> Any:
        made = real(*args)
        made.direct._baseline += 1e-4
        return made

    monkeypatch.setattr(service, "build_fast_path", off)
    serving = load(binary.folder / "model")
    assert serving.path == "model's own prediction"
    assert "the fast path differs by" in caplog.text
    assert serving.answer(json.dumps(records(binary.test_rows())).encode())[0] == 200


def test_derived_features_are_computed_on_the_fast_path(mixed_bench, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "azmlinfsrv.service")

    def add_features(rows: pd.DataFrame, contract: Any) -> pd.DataFrame:
        if rows["maybe"].isna().any():  # made-up rows have missing values; the model refuses them
            raise ValueError("maybe is missing")
        return rows.assign(product=rows["number"] * rows["whole"], early=rows["when"].dt.hour < 12)

    monkeypatch.setattr(train, "add_features", add_features)
    # Rounded, as pandas writes no more digits to JSON.
    table = mixed_bench.table.assign(maybe=mixed_bench.table["flag"]).round({"number": 6})
    for name in ("train", "validation", "test"):
        table.to_parquet(mixed_bench.part(name), index=False)
    assert mixed_bench.train("--max-iterations", "10") == 0
    serving = load(mixed_bench.folder / "model")
    assert serving.path == "fast path"
    assert re.search(r"fast path, which agrees with the model on \d+ rows", caplog.text)
    rows = table.head(40)
    expected = predicting.predict(serving.model, rows, serving.contract)
    for n, record in enumerate(records(rows)):
        status, content = serving.answer(json.dumps([record]).encode())
        assert status == 200
        assert content["probabilities"] == [pytest.approx(expected.score[n], abs=1e-9)]
    status, content = serving.answer(json.dumps([{**records(rows)[0], "maybe": None}]).encode())
    assert (status, content["message"]) == (400, "the model cannot answer: maybe is missing")


def test_derived_features_that_depend_on_other_rows_have_no_fast_path(
    mixed_bench, monkeypatch, caplog
):
    monkeypatch.setattr(
        train,
        "add_features",
        lambda rows, contract: rows.assign(above=rows["number"] - rows["number"].mean()),
    )
    assert mixed_bench.train("--max-iterations", "10") == 0
    assert load(mixed_bench.folder / "model").path == "model's own prediction"
    assert "the fast path differs by" in caplog.text


def test_a_model_that_has_no_answer_is_a_refusal_and_no_failure(binary):
    rows = binary.test_rows()
    numbers = ColumnTransformer([("number", "passthrough", ["number"])])
    picky = make_pipeline(numbers, LogisticRegression()).fit(rows, ["no", "yes"] * (len(rows) // 2))
    given = rows[binary.contract.features]
    saving.save_model(picky, binary.folder / "picky", given, binary.contract)
    serving = load(binary.folder / "picky")
    first, second = records(given.head(2))
    assert serving.answer(json.dumps([first, second]).encode())[0] == 200
    second["number"] = None
    status, content = serving.answer(json.dumps([first, second]).encode())
    assert (status, content["errors"][0]["rule"]) == (400, "model")
    assert "Traceback" not in content["message"]


def test_a_model_that_cannot_answer_its_own_example_is_not_served(binary):
    rows = binary.test_rows()[binary.contract.features]
    broken = LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"])
    saving.save_model(broken, binary.folder / "broken", rows, binary.contract)
    with pytest.raises(UsageError, match="of the rows it was saved with, the model cannot answer"):
        load(binary.folder / "broken")


def test_a_wrong_body_is_answered_with_400(binary):
    serving = load(binary.folder / "model")
    status, content = serving.answer(b'[{"number": "x"}]')
    assert status == 400
    assert {key: content["errors"][-1][key] for key in ("field", "rule", "row")} == {
        "field": "number",
        "rule": "type",
        "row": 1,
    }


def test_a_model_without_contract_or_example(binary):
    folder = binary.folder / "model"
    (folder / service.EXAMPLE_FILE).unlink()
    assert load(folder).path == "fast path"
    (folder / saving.CONTRACT_FILE).unlink()
    with pytest.raises(UsageError, match="contract"):
        load(folder)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e3"])
def test_limits_come_from_the_environment(monkeypatch, text):
    monkeypatch.setenv("MAX_REQUEST_ROWS", "5")
    assert service.read_limits() == payload.Limits(rows=5)
    monkeypatch.setenv("MAX_REQUEST_BYTES", text)
    with pytest.raises(UsageError, match="MAX_REQUEST_BYTES"):
        service.read_limits()


def test_the_model_is_found_where_azure_puts_it(tmp_path, monkeypatch):
    mounted = tmp_path / "azureml-models" / "delay" / "12"
    (mounted / "model").mkdir(parents=True)
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(mounted))
    with pytest.raises(UsageError, match="holds no MLflow model"):
        deployed.model_folder()
    (mounted / "model" / "MLmodel").touch()
    assert deployed.model_folder() == mounted / "model"
    assert deployed.model_identity() == ("delay", "12")
    monkeypatch.setenv("MODEL_VERSION", "13")
    assert deployed.model_identity() == ("delay", "13")
    shutil.copytree(mounted / "model", mounted / "other")
    with pytest.raises(UsageError, match="holds 2 models"):
        deployed.model_folder()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / "x"))
    assert deployed.model_identity() == ("unknown", "13")


def test_rows_get_the_ids_that_azure_gives_them(binary):
    taken: list[Any] = []

    class Note:
        def add(self, rows: payload.Rows, predicted: service.Predicted) -> list[str]:
            taken.append((rows, predicted))
            return [f"batch_{n}" for n in range(len(rows.values))]

    serving = load(binary.folder / "model")
    serving.collect = Note()
    content = serving.answer(json.dumps(records(binary.test_rows().head(2))).encode())[1]
    assert content["correlation_ids"] == ["batch_0", "batch_1"]
    ((rows, predicted),) = taken
    assert len(rows.values) == 2
    assert predicted.predictions == content["predictions"]


def test_what_cannot_be_collected_in_time_is_dropped_and_counted(binary, monkeypatch, caplog):
    """Answers do not wait for a collector that hangs."""
    go, kept = threading.Event(), []

    class Collector(SimpleNamespace):
        def collect(self, frame: Any, context: Any) -> None:
            go.wait(30)
            kept.append((self.name, context.id, json.loads(frame.to_json(orient="records"))))

    def stand_in(name: str, **members: Any) -> None:
        monkeypatch.setitem(sys.modules, f"azureml.ai.monitoring{name}", SimpleNamespace(**members))

    stand_in("", Collector=Collector)
    stand_in(".context", BasicCorrelationContext=lambda id, headers: SimpleNamespace(id=id))
    stand_in(".init", teardown=lambda wait_for_flush: None)
    monkeypatch.setattr(collect, "BATCH_ROWS", 2)
    monkeypatch.setattr(collect, "MOST_BATCHES", 3)
    rules = binary.contract
    collection = collect.Collection(rules)
    rows = payload.Rows([[1.5, *[None] * (len(rules.features) - 1)]] * 2)
    predicted = service.Predicted(["yes", "no"], [0.9, 0.1])
    ids = [one for _ in range(50) for one in collection.add(rows, predicted)]
    assert len(set(ids)) == 100
    assert collection.dropped >= 90
    assert "rows dropped so far" in caplog.text
    go.set()
    collection.close()
    sent = {
        name: {(id, n) for who, id, rows in kept if who == name for n in range(len(rows))}
        for name in ("model_inputs", "model_outputs")
    }
    assert sent["model_inputs"] == sent["model_outputs"]
    assert {f"{id}_{n}" for id, n in sent["model_inputs"]} < set(ids)
    assert len(sent["model_inputs"]) + collection.dropped == 100
    assert kept[1][2][0] == {"prediction": "yes", "probability": 0.9}


def test_numbers_are_collected_in_full():
    frame = collect._frame([{"x": 1.2345678901234567e-12}])
    assert json.loads(frame.to_json(orient="records")) == [{"x": 1.2345678901234567e-12}]


def test_older_versions_of_the_description_say_null_in_their_own_way(binary, tmp_path):
    openapi.write(load(binary.folder / "model"), tmp_path)
    for name, word, at in (("3", "nullable", "/components/schemas/"), ("2", "x-nullable", "/def")):
        text = (tmp_path / f"swagger{name}.json").read_text()
        assert '"type": [' not in text and '"null"' not in text
        assert f'"format": "int64", "type": "integer", "{word}": true' in text
        pointers = set(re.findall(r'"\$ref": "#([^"]+)"', text))
        assert pointers and all(pointer.startswith(at) for pointer in pointers)
        for pointer in pointers:
            found = json.loads(text)
            for key in pointer[1:].split("/"):
                found = found[key]
            assert "type" in found or "anyOf" in found


def test_bodies_and_answers_are_as_described(binary):
    from jsonschema import Draft202012Validator

    serving = load(binary.folder / "model")
    content = openapi.description(serving)

    def check(name: str) -> Draft202012Validator:
        return Draft202012Validator({**content, "$ref": f"#/components/schemas/{name}"})

    body = records(binary.test_rows()[binary.contract.features])
    for form in (body, {"data": body, "correlation_ids": list(map(str, range(len(body))))}):
        check("ServiceInput").validate(form)
        status, answer = serving.answer(json.dumps(form).encode())
        assert status == 200
        check("ServiceOutput").validate(answer)
    for wrong in ([], [{**body[0], "number": "x"}], [{**body[0], "extra": 1}], [{}]):
        assert not check("ServiceInput").is_valid(wrong)
        status, answer = serving.answer(json.dumps(wrong).encode())
        assert status == 400
        check("Refusal").validate(answer)
    example = content["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    assert serving.answer(json.dumps(example["example"]).encode())[0] == 200


def test_the_scoring_script_finds_the_package_and_answers_http(binary, tmp_path, monkeypatch):
    """`src/score.py` runs by its path, with the inference server's two classes stood in for."""
    import importlib.util

    class Response(SimpleNamespace):
        def __init__(self, body: str, status: int, headers: dict[str, str]) -> None:
            super().__init__(body=body, status=status, headers=headers)

    for name, member in (("aml_request", "AMLRequest"), ("aml_response", "AMLResponse")):
        stand_in = SimpleNamespace(rawhttp=lambda run: run, **{member: Response})
        full = f"azureml_inference_server_http.api.{name}"
        monkeypatch.setitem(sys.modules, full, stand_in)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(binary.folder / "model"))
    monkeypatch.setenv("AML_APP_ROOT", str(tmp_path))
    monkeypatch.setenv("MAX_REQUEST_BYTES", "100000")
    monkeypatch.setenv("MODEL_NAME", "delay")

    spec = importlib.util.spec_from_file_location("entry_module", ROOT / "src" / "score.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.init()

    def ask(body: bytes, method: str = "POST", length: int | None = None) -> Response:
        stream = io.BytesIO(body)
        request = SimpleNamespace(method=method, content_length=length, stream=stream)
        return script.run(request)

    answer = ask(json.dumps(records(binary.test_rows().head(1))).encode())
    assert answer.status == 200
    assert answer.headers == {"Content-Type": "application/json"}
    assert json.loads(answer.body)["model"]["name"] == "delay"
    assert ask(b"").status == ask(b"x" * 200_000).status == ask(b"[]", length=10**9).status == 400
    assert ask(b"", method="GET").status == ask(b"", method="HEAD").status == 405
    assert ask(b"", method="OPTIONS").status == 200
    broken = SimpleNamespace(method="POST", content_length=None, stream=None)
    assert script.run(broken).status == 400
    assert json.loads((tmp_path / "swagger3.json").read_text())["openapi"] == "3.0.3"
