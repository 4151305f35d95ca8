"""Batch scoring: each row once, with the model's own prediction, after any interruption."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from modelyard.contract import model as contract
from modelyard.contract.reading import read_table
from modelyard.errors import UsageError
from modelyard.modelling import encoding, predicting, saving
from modelyard.scoring import batch
from modelyard.scoring.rows import check_types
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.project import ROOT

SCRIPT = ROOT / "src" / "batch_score.py"
SERVE = ROOT / "requirements" / "serve.txt"
COLUMNS: dict[str, Any] = {
    "order": {"type": "integer", "role": "identifier"},
    "row": {"type": "text", "role": "identifier"},
    "number": {"type": "number"},
    "whole": {"type": "integer", "nulls": 0.0, "min": 0, "max": 9},
    "flag": {"type": "boolean", "nulls": 0.5},
    "group": {"type": "category", "categories": ["a", "b", "c"], "nulls": 0.2},
    "open": {"type": "category", "categories": ["a", "b"], "unseen": "accept"},
    "when": {"type": "datetime", "nulls": 0.0},
}
TARGETS: dict[str, Any] = {
    "binary": ({"kind": "binary", "positive": "yes"}, "category"),
    "multiclass": ({"kind": "multiclass", "classes": (3, 1, 2)}, "integer"),
    "regression": ({"kind": "regression"}, "number"),
}


def rules_for(kind: str) -> contract.Contract:
    target, of = TARGETS[kind]
    columns = {**COLUMNS, "target": {"type": of}}
    return contract.Contract.model_validate(
        {"target": {"column": "target", **target}, "columns": columns}
    )


def make_table(rows: int, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "order": pd.Series(chance.integers(2**57, 2**58, rows), dtype="Int64"),
            "row": [f"r{i}" for i in range(rows)],
            "number": np.where(chance.random(rows) < 0.1, np.nan, chance.normal(size=rows)),
            "whole": chance.integers(0, 10, rows),
            "flag": pd.Series(chance.choice([True, False, None], rows), dtype=object),
            "group": pd.Series(chance.choice(["a", "b", "c", None], rows), dtype=object),
            "open": chance.choice(["a", "b", "new"], rows),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), "min"),
            "surplus": "x",
        }
    )


def save(kind: str, folder: Path) -> Path:
    """A small tree behind the project's own encoding, saved as training saves models."""
    rules, rows = rules_for(kind), make_table(400, seed=1)
    encode = ColumnTransformer(
        [
            ("numbers", FunctionTransformer(encoding.as_floats), ["number", "whole", "flag"]),
            (
                "group",
                make_pipeline(FunctionTransformer(encoding.as_words), FunctionTransformer(lengths)),
                ["group", "open"],
            ),
            (
                "when",
                FunctionTransformer(encoding.date_parts, kw_args={"parts": ("hour",)}),
                ["when"],
            ),
        ]
    )
    signal_ = rows["number"].fillna(0).to_numpy() + rows["whole"].to_numpy() / 3
    target = {
        "binary": np.where(signal_ > 1.5, "yes", "no"),
        "multiclass": np.digitize(signal_, [1, 2]) + 1,
        "regression": signal_,
    }[kind]
    tree = (DecisionTreeRegressor if kind == "regression" else DecisionTreeClassifier)(
        max_depth=6, random_state=0
    )
    fitted = make_pipeline(encode, tree).fit(rows[rules.features], target)
    saving.save_model(fitted, folder, rows[rules.features], rules)
    return folder


def lengths(words: Any) -> Any:
    return np.array([[len(str(word)) for word in row] for row in words], dtype=float)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path_factory.mktemp("models")
    return {kind: save(kind, folder / kind) for kind in TARGETS}


@pytest.fixture
def job(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(batch, "CHUNK_ROWS", 40)
    monkeypatch.setattr(batch, "_deployed", None)
    return Job(tmp_path, models, monkeypatch)


class Job:
    """A folder with data and an output, and the model to use."""

    def __init__(self, folder: Path, models: dict[str, Path], patch: pytest.MonkeyPatch) -> None:
        self.folder, self.models, self.patch = folder, models, patch
        self.data, self.output = folder / "table.parquet", folder / "scored"
        self.use("binary")

    def use(self, kind: str, version: str = "7") -> None:
        self.patch.setenv("AZUREML_MODEL_DIR", str(self.models[kind]))
        self.patch.setenv("MODEL_NAME", "late")
        self.patch.setenv("MODEL_VERSION", version)

    def run(self, *words: str, part_rows: int = 100) -> int:
        return batch.main(
            [
                "--data",
                str(self.data),
                "--output",
                str(self.output),
                *words,
                f"--part-rows={part_rows}",
            ]
        )

    def scored(self) -> pd.DataFrame:
        return pd.read_parquet(self.output)

    def rejected(self) -> pd.DataFrame:
        return pd.read_parquet(self.output / "_rejected")

    def summary(self) -> dict[str, Any]:
        return json.loads((self.output / "_summary.json").read_text(encoding="utf-8"))

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.output).as_posix(): path.read_bytes()
            for path in sorted(self.output.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }


def said(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr().err
    assert "Traceback" not in found
    return found


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", list(TARGETS))
def test_predictions_are_the_models_own_in_the_order_of_the_file(job, kind, suffix):
    job.use(kind)
    job.data = job.folder / f"table.{suffix}"
    table = make_table(330)
    if suffix == "csv":
        table.to_csv(job.data, index=False)
    else:
        table.to_parquet(job.data, row_group_size=70)
    assert job.run() == 0
    rules = rules_for(kind)
    rows = read_table(job.data, without_target(rules))
    found = job.scored()
    expected = predicting.predict(saving.load_model(job.models[kind]), rows[rules.features], rules)
    assert found["row"].tolist() == list(range(1, 331))
    assert found["order"].tolist() == table["order"].tolist()
    assert found["row_given"].tolist() == table["row"].tolist()
    assert set(found["model_version"]) == {"7"}
    if kind == "regression":
        assert found["prediction"].tolist() == expected.score.tolist()
    elif kind == "binary":
        assert found["prediction"].tolist() == np.where(expected.label, "yes", "no").tolist()
        assert found["probability"].tolist() == expected.score.tolist()
    else:
        assert found["prediction"].tolist() == [(3, 1, 2)[i] for i in expected.label]
        names = [f"probability_{name}" for name in (3, 1, 2)]
        assert found[names].to_numpy().tolist() == expected.score.tolist()
    assert len(list(job.output.glob("table-*-0000[0-3].parquet"))) == 4


def without_target(rules: contract.Contract) -> contract.Contract:
    """The same columns, for tables in which the target is not known yet."""
    columns = {name: rule for name, rule in rules.columns.items() if name != "target"}
    return rules.model_copy(
        update={"columns": columns, "target": contract.Target(column="row", kind="regression")}
    )


@pytest.mark.parametrize("part_rows", [1, 39, 41, 80, 1000])
def test_the_size_of_parts_changes_no_prediction(job, part_rows):
    make_table(120).to_parquet(job.data)
    assert job.run() == 0
    whole = job.scored()
    assert job.run("--overwrite", part_rows=part_rows) == 0
    pd.testing.assert_frame_equal(job.scored(), whole)
    assert len(list(job.output.glob("*.parquet"))) == -(-120 // part_rows)


def test_rows_that_break_the_contract_are_set_apart_with_reasons(job, capsys):
    table = make_table(250).astype({"whole": object, "when": object, "number": object})
    table.loc[3, "whole"] = "many"
    table.loc[3, "group"] = "z"
    table.loc[120, "whole"] = None
    table.loc[121, "when"] = "yesterday"
    table.loc[249, "number"] = "1,5"
    job.data = job.folder / "table.csv"
    table.to_csv(job.data, index=False)
    lines = job.data.read_text().splitlines()
    lines[41] += ",more"  # row 41
    job.data.write_text("\n".join(lines) + "\n")
    assert job.run() == 1
    assert "5 of 250 rows are rejected (2.00%), at most 0.00% may be" in said(capsys)
    assert job.scored()["row"].tolist() == sorted({*range(1, 251)} - {4, 41, 121, 122, 250})
    rejected = job.rejected().set_index("row")
    assert rejected["reason"].str.split("; ").to_dict() == {
        4: [
            "whole: expected a whole number, found 'many'",
            "group: 'z' is none of the contract's 3 categories",
        ],
        41: [rejected.loc[41, "reason"]],
        121: ["whole: missing, and the contract allows no missing value"],
        122: ["when: expected a datetime (ISO 8601), found 'yesterday'"],
        250: ["number: expected a number, found '1,5'"],
    }
    assert rejected.loc[41, "reason"].startswith("expected 9 fields, found 10: ")
    assert rejected.loc[250, "order"] == str(table.loc[249, "order"])
    found = job.summary()
    assert (found["rows"], found["scored"], found["rejected"]) == (250, 245, 5)
    assert job.run("--max-rejected", "0.02") == 0


def test_values_out_of_range_are_scored(job):
    make_table(20).assign(whole=1000).to_parquet(job.data)
    assert job.run() == 0
    assert len(job.scored()) == 20


def test_a_table_in_which_no_row_fits_is_counted(job):
    make_table(130).assign(group="z").to_parquet(job.data)
    assert job.run() == 1
    assert len(job.scored()) == 0
    assert job.rejected()["row"].tolist() == list(range(1, 131))


def test_long_identifiers_beside_missing_ones_stay_exact(job):
    table = make_table(30)
    table.loc[[2, 29], "order"] = None
    for suffix in ("csv", "parquet"):
        job.data = job.folder / f"table.{suffix}"
        table.to_csv(job.data, index=False) if suffix == "csv" else table.to_parquet(job.data)
        assert job.run("--overwrite") == 0
        found = pq.read_table(job.output).column("order").to_pylist()
        assert found == [None if value is pd.NA else value for value in table["order"]]


def test_a_table_without_rows_gives_a_part_without_rows(job):
    for kind in TARGETS:
        job.use(kind)
        make_table(0).to_parquet(job.data)
        assert job.run("--overwrite") == 0
        assert len(job.scored()) == 0
        assert "prediction" in job.scored().columns
        assert job.summary()["parts"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="whole"), 'has no column "whole"'),
        (lambda t: t.drop(columns="order"), 'has no column "order"'),
        (lambda t: t.assign(when=1.5), 'column "when": expected a datetime .*type double'),
        (lambda t: t.assign(number=t["when"]), 'column "number": expected a number'),
    ],
    ids=["no feature", "no identifier", "number for a time", "time for a number"],
)
def test_a_table_that_cannot_fit_is_refused_before_a_row_is_scored(job, capsys, change, message):
    (job.folder / "in").mkdir()
    job.data = job.folder / "in"
    make_table(20).to_parquet(job.data / "a.parquet")
    change(make_table(20)).to_parquet(job.data / "b.parquet")
    assert job.run() == 2
    found = said(capsys)
    assert "b.parquet" in found
    assert re.search(message, found), found
    assert not list(job.output.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "binary file"),
        (b'[{"a": 1}, {"b": 2}]\n', "looks like JSON"),
        (b"PAR1 and no more", "damaged Parquet"),
    ],
    ids=["empty", "picture", "JSON", "torn"],
)
def test_what_is_no_table_is_refused(job, capsys, content, message):
    job.data.with_suffix(".csv").write_bytes(content)
    job.data = job.data.with_suffix(".csv")
    assert job.run() == 2
    assert message in said(capsys)


def interrupted(job: Job, after: int) -> None:
    """Run until so many parts are written, then fail as a full disk would."""
    finish = batch.PartWriter.finish
    left = [after]

    def failing(self, stop):
        if not left[0]:
            raise OSError("No space left on device")
        left[0] -= 1
        return finish(self, stop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch.PartWriter, "finish", failing)
        assert job.run() == 2


@pytest.mark.parametrize(
    ("found", "format", "fits"),
    [
        (pa.timestamp("us"), "%d/%m/%Y", True),  # the table was text, this file is not
        (pa.date32(), None, True),
        (pa.int64(), "%Y%m%d", True),
        (pa.int64(), None, False),
    ],
)
def test_a_parquet_column_of_times_may_be_times_or_numbers_that_a_format_reads(
    tmp_path: Path, found: pa.DataType, format: str | None, fits: bool
) -> None:
    columns = {
        "x": contract.Column(type="datetime", format=format),
        "y": contract.Column(type="boolean", role="target"),
    }
    target = contract.Target(column="y", kind="binary", positive=True)
    rules = contract.Contract(version=1, target=target, columns=columns)
    stream = SimpleNamespace(path=tmp_path, types={"x": found})
    with (
        contextlib.nullcontext() if fits else pytest.raises(UsageError, match="expected a datetime")
    ):
        check_types(stream, rules)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_interrupted_job_goes_on_where_it_stopped(job, after, suffix):
    job.data = job.folder / f"table.{suffix}"
    table = make_table(350)
    table.loc[::60, "group"] = "z"
    table.to_csv(job.data, index=False) if suffix == "csv" else table.to_parquet(job.data)
    assert job.run() == 1
    undisturbed = job.files()
    shutil.rmtree(job.output)
    interrupted(job, after)
    parts = {path: path.stat().st_mtime_ns for path in job.output.glob("*.parquet")}
    assert len(parts) == after
    assert not list(job.output.rglob("*.part"))
    assert job.run() == 1
    assert job.files() == undisturbed
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    assert job.run() == 1  # nothing is left to do
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


@pytest.mark.parametrize("what", ["scored", "_rejected"])
@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_a_damaged_part_is_made_again(job, what, damage):
    table = make_table(250)
    table.loc[110, "group"] = "z"
    table.to_parquet(job.data)
    job.run()
    undisturbed = job.files()
    folder = job.output if what == "scored" else job.output / what
    (path,) = folder.glob("*-00001.parquet")
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.unlink()
    job.run()
    assert job.files() == undisturbed


def test_what_a_killed_job_left_half_written_is_cleared_away(job):
    make_table(50).to_parquet(job.data)
    (job.output / "_rejected").mkdir(parents=True)
    for name in (".a.parquet.xyz.part", "_rejected/.a.parquet.xyz.part"):
        (job.output / name).write_bytes(b"half")
    assert job.run() == 0
    assert not list(job.output.rglob("*.part"))


def changed_input(job: Job) -> None:
    make_table(150, seed=5).to_parquet(job.data)


def other_input(job: Job) -> None:
    job.data = job.data.rename(job.folder / "other.parquet")


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (changed_input, {}, "table.parquet has changed since"),
        (other_input, {}, "it was made from table.parquet, which is not in the data now"),
        (lambda job: job.use("binary", "8"), {}, "scored by late v7, now it is late v8"),
        (lambda job: job.use("regression"), {}, "files of late v7 have changed since"),
        (lambda job: None, {"part_rows": 50}, "made with --part-rows 100, now it is 50"),
    ],
    ids=["input changed", "other input", "other version", "other model", "other parts"],
)
def test_parts_of_another_job_are_not_mixed_with(job, capsys, change, words, message):
    make_table(150).to_parquet(job.data)
    assert job.run() == 0
    before = job.files()
    change(job)
    batch._deployed = None
    assert job.run(**words) == 2
    assert message in said(capsys)
    assert job.files() == before
    assert job.run("--overwrite", **words) == 0
    assert job.scored()["row"].tolist() == list(range(1, 151))


def test_a_table_that_changes_under_the_job_is_not_mixed_with_itself(job, capsys):
    make_table(250).to_parquet(job.data)
    finish = batch.PartWriter.finish

    def finish_then_change(self, stop):
        part = finish(self, stop)
        make_table(250, seed=9).to_parquet(job.data)
        return part

    job.patch.setattr(batch.PartWriter, "finish", finish_then_change)
    assert job.run() == 2
    assert "has changed while it was read" in said(capsys)
    assert len(list(job.output.glob("*.parquet"))) == 1


def test_a_file_of_somebody_else_is_never_deleted(job, capsys):
    make_table(20).to_parquet(job.data)
    job.output.mkdir()
    shutil.copy(job.data, job.output / "mine.parquet")
    (job.output / "notes.txt").write_text("mine, too")
    assert job.run("--overwrite") == 2
    assert "mine.parquet was not written by a batch job" in said(capsys)
    (job.output / "mine.parquet").unlink()
    assert job.run("--overwrite") == 0
    assert (job.output / "notes.txt").exists()


def test_a_new_file_in_a_folder_is_scored_and_the_others_are_kept(job):
    job.data = job.folder / "in"
    for name, seed in (("2024/part", 1), ("2025/part", 2)):
        (job.data / name).parent.mkdir(parents=True)
        make_table(60, seed).to_parquet(job.data / f"{name}.parquet")
    (job.data / "_SUCCESS").write_text("")
    (job.data / ".hidden.csv").write_text("no table")
    (job.data / "2024" / "README.txt").write_text("no table")
    (job.data / "linked").symlink_to(job.data / "2024")
    assert job.run() == 0
    assert sorted(job.summary()["passed_over"]) == [
        ".hidden.csv",
        "2024/README.txt",
        "_SUCCESS",
        "linked",
    ]
    before = job.files()
    # The same rows under a third name are rows, too.
    shutil.copytree(job.data / "2024", job.data / "2026")
    assert job.run() == 0
    assert len(job.scored()) == 180
    assert {name: content for name, content in job.files().items() if name in before} == {
        **before,
        "_summary.json": job.files()["_summary.json"],
    }
    assert [one["file"] for one in job.summary()["files"]] == [
        f"{year}/part.parquet" for year in (2024, 2025, 2026)
    ]


@pytest.mark.parametrize("name", ["part.parquet", "2024"])
def test_a_link_to_nothing_is_no_table_that_can_be_passed_over(job, capsys, name):
    job.data = job.folder / "in"
    job.data.mkdir()
    make_table(20).to_parquet(job.data / "a.parquet")
    (job.data / name).symlink_to(job.folder / "gone")
    assert job.run() == 2
    assert f"{name} is a link to nothing" in said(capsys)
    assert not job.output.exists()


def test_data_that_is_not_there_leaves_nothing_behind(job, capsys):
    assert job.run() == 2
    assert "table.parquet does not exist" in said(capsys)
    assert not job.output.exists()


def test_the_output_cannot_be_among_the_data(job, capsys):
    job.data = job.folder / "in"
    job.data.mkdir()
    job.output = job.data / "scored"
    assert job.run() == 2
    assert "is inside" in said(capsys)


def test_of_two_jobs_in_one_folder_one_is_told(job, capsys):
    from filelock import FileLock

    make_table(20).to_parquet(job.data)
    job.output.mkdir()
    job.patch.setattr(batch, "LOCK_SECONDS", 0)
    with FileLock(job.output / ".lock"):
        assert job.run() == 2
    assert "another job is writing into" in said(capsys)
    assert job.run() == 0


def test_a_mini_batch_gives_azure_an_element_for_each_file_that_is_fine(job, capsys):
    files = {"good": make_table(230), "bad": make_table(50).assign(group="z")}
    for name, table in files.items():
        table.to_parquet(job.folder / f"{name}.parquet")
    (job.folder / "none.csv").write_text("a,b\n1,2\n")
    paths = [str(job.folder / name) for name in ("good.parquet", "bad.parquet", "none.csv")]
    job.patch.setenv("AZUREML_BI_OUTPUT_PATH", str(job.output))
    job.patch.setenv("PART_ROWS", "100")
    batch.init()
    found = batch.run(paths)
    assert found.to_dict("records") == [
        {
            "file": f"{job.folder.name}/good.parquet",
            "rows": 230,
            "scored": 230,
            "rejected": 0,
            "parts": 3,
        }
    ]
    message = said(capsys)
    assert "50 of 50 rows are rejected" in message
    assert 'none.csv has no column "order"' in message
    before = job.files()
    assert batch.run(paths[:1]).equals(found)  # a retry
    assert job.files() == before
    job.patch.setenv("MAX_REJECTED", "1")
    assert len(batch.run(paths)) == 2


def test_name_and_version_are_those_of_azures_folders(job, tmp_path):
    place = tmp_path / "azureml-models" / "late" / "12"
    shutil.copytree(job.models["binary"], place / "model")
    job.patch.setenv("AZUREML_MODEL_DIR", str(place))
    job.patch.delenv("MODEL_NAME")
    job.patch.delenv("MODEL_VERSION")
    batch.init()
    assert (batch._deployed.name, batch._deployed.version) == ("late", "12")


@pytest.mark.parametrize("setting", [{"MAX_REJECTED": "a few"}, {"PART_ROWS": "0"}])
def test_settings_of_a_deployment_that_make_no_sense_are_said_at_once(job, setting):
    for name, value in setting.items():
        job.patch.setenv(name, value)
    with pytest.raises(UsageError, match="expected MAX_REJECTED from 0 to 1 and PART_ROWS from 1"):
        batch.init()


def test_a_folder_without_a_model_is_said_so(job, tmp_path):
    job.patch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    with pytest.raises(UsageError, match="holds no MLflow model"):
        batch.init()


ENVIRONMENT = """
import importlib.metadata, re, sys

allowed = set(re.findall(r"^([a-z0-9-]+)==", open(SERVE).read(), re.MULTILINE))
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
owners = importlib.metadata.packages_distributions()

class Refuse:
    def find_spec(self, name, path=None, target=None):
        found = owners.get(name.partition(".")[0])
        if found and "." not in name and name != PACKAGE and not allowed & set(map(plain, found)):
            raise ImportError(f"{name} is not in the serving environment")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, SRC)
from batch_score import init, main, run

init()
print(len(run([DATA])), main(["--data", DATA, "--output", OUTPUT]))
"""


def test_the_script_needs_no_more_than_the_serving_environment(job):
    make_table(20).to_parquet(job.data)
    names = {
        "SERVE": str(SERVE),
        "SRC": str(SCRIPT.parent),
        "DATA": str(job.data),
        "OUTPUT": str(job.folder / "of main"),
        "PACKAGE": batch.__name__.partition(".")[0],
    }
    script = "\n".join(f"{name} = {value!r}" for name, value in names.items()) + ENVIRONMENT
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "AZUREML_BI_OUTPUT_PATH": str(job.output)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 0"


@pytest.mark.parametrize("wanted", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_loses_and_doubles_no_row(job, wanted):
    table = make_table(12_000)
    table.loc[::500, "group"] = "z"
    table.to_parquet(job.data)
    job.patch.undo()
    job.use("binary")
    assert job.run() == 1
    undisturbed = job.files()
    shutil.rmtree(job.output)
    words = ["--data", job.data, "--output", job.output, "--part-rows", "100"]
    moment = random.Random(4)
    kills = 0
    while kills < wanted:
        process = subprocess.Popen(
            [sys.executable, SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        for _ in range(moment.randrange(3, 40)):
            process.stdout.readline()
        time.sleep(moment.random() / 100)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert job.run() == 1
    assert job.files() == undisturbed
