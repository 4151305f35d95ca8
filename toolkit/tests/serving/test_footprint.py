"""The footprint: measured in a process of its own, by the path that is served, sensitive to growth."""

from __future__ import annotations

import pytest
from modelyard.contract.model import Contract, save_contract
from modelyard.errors import UsageError
from modelyard.modelling import saving
from modelyard.serving import footprint, probe
from sklearn.dummy import DummyClassifier


@pytest.fixture(scope="module")
def quick():
    """Fewer rounds: the figures need not be steady here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprint, "ROUNDS", 2)
        patch.setattr(footprint, "ASKED", 3)
        patch.setattr(footprint, "WARM_UP", 1)
        yield


@pytest.fixture
def trained(trained_bench, quick):
    return trained_bench


def measured(trained, challenger, champion):
    folders = {"challenger": trained.folder / challenger, "champion": trained.folder / champion}
    with footprint.started(folders, trained.part("test")) as probes:
        return footprint.measure(probes)


def test_challenger_and_champion_are_measured_alike(trained, capfd):
    trained.make_champion(model="baseline")
    capfd.readouterr()
    assert trained.footprint() == 0
    said = capfd.readouterr()
    assert said.err == "" and "champion 3" in said.out
    evidence = trained.evidence("footprint")
    own, other = (evidence["details"]["models"][name] for name in ("challenger", "champion"))
    assert own.keys() == other.keys() == evidence["metrics"].keys()
    for found in (own, other):
        assert 0 < found["load_seconds"] < 60
        assert 0 < found["latency_p50"] <= found["latency_p95"]
    assert own["model_bytes"] == footprint.size_of(trained.folder / "model")
    assert own["model_bytes"] > other["model_bytes"]
    assert evidence["details"]["paths"] == {"challenger": "fast path", "champion": "fast path"}
    assert said.out.count("fast path") == 2


@pytest.mark.skipif(not probe.STATUS.is_file(), reason="other systems tell the peak only")
def test_memory_is_that_of_the_model_s_own_process(trained):
    filler = bytearray(400_000_000)
    filler[::4096] = b"x" * len(filler[::4096])
    assert trained.footprint() == 0
    used = trained.evidence("footprint")["metrics"]["memory_bytes"]
    here = probe.resident_bytes()
    assert here is not None and 30e6 < used < here - 100e6
    assert len(filler) == 400_000_000


HEAVY = """
import numpy as np
from sklearn.base import BaseEstimator
class Heavy(BaseEstimator):
    classes_ = ["no", "yes"]
    def __init__(self, megabytes=0, seconds=0.0):
        self.megabytes, self.seconds = megabytes, seconds
        self.ballast = np.random.default_rng(0).bytes(megabytes * 1_000_000)
    def predict_proba(self, rows):
        import time
        time.sleep(self.seconds)
        return np.tile([0.4, 0.6], (len(rows), 1))
"""


def test_a_model_that_grew_shows_in_every_figure(trained):
    import cloudpickle

    space: dict = {"__name__": "__main__"}
    exec(HEAVY, space)
    trained.make_champion()
    rows = trained.table[trained.contract.features]
    (trained.folder / "heavy").mkdir()
    # By value, as the package's own models are: the probe has no such module.
    heavy = cloudpickle.loads(cloudpickle.dumps(space["Heavy"](60, 0.05)))
    saving.save_model(heavy, trained.folder / "heavy", rows, trained.contract)
    found, error = measured(trained, "heavy", "champion/model")
    assert error is None
    assert found["challenger"].path == "model's own prediction"
    own, other = found["challenger"].figures, found["champion"].figures
    assert own["model_bytes"] > other["model_bytes"] + 50e6
    assert own["memory_bytes"] > other["memory_bytes"] + 40e6
    assert own["latency_p50"] >= 50


def test_a_champion_is_asked_about_the_rows_and_columns_that_its_contract_takes(trained):
    content = trained.contract.model_dump(exclude_defaults=True)
    middle = trained.table["number"].median()
    columns = {**content["columns"], "number": {"type": "number", "min": middle}}
    del columns["gaps"]
    older = Contract.model_validate({**content, "columns": columns})
    rows = trained.table[older.features]
    fitted = DummyClassifier(strategy="prior").fit(rows, trained.table["label"])
    saving.save_model(fitted, trained.folder / "older", rows, older)
    found, error = measured(trained, "model", "older")
    assert error is None and found["champion"].figures["latency_p95"] > 0
    columns["number"]["min"] = 1e6
    none = Contract.model_validate({**content, "columns": columns})
    save_contract(none, trained.folder / "older" / "contract.yml")
    _, error = measured(trained, "model", "older")
    assert error is not None and "accepts none of these rows: row 1, number" in error


def test_a_champion_that_cannot_be_loaded_is_named_and_the_challenger_is_measured(trained):
    trained.make_champion()
    (trained.folder / "champion" / "model" / "model.pkl").write_bytes(b"not a pickle")
    assert trained.footprint() == 0
    details = trained.evidence("footprint")["details"]
    assert "cannot be loaded" in details["champion"]["error"]
    assert details["models"]["champion"] is None
    assert details["models"]["challenger"]["latency_p95"] > 0


def test_a_challenger_that_cannot_be_loaded_is_an_error(trained, capfd):
    (trained.folder / "model" / "model.pkl").write_bytes(b"not a pickle")
    assert trained.footprint() == 2
    assert "cannot be loaded" in capfd.readouterr().err


def test_a_process_that_dies_is_an_error_with_its_exit_code(tmp_path):
    one = footprint.Probe(tmp_path, tmp_path / "none.parquet")
    try:
        with pytest.raises(UsageError, match="ended with exit code 1"):
            one.receive()
    finally:
        one.close()
    assert one._process.poll() is not None


def test_a_champion_file_of_another_shape_is_an_error(trained, capsys):
    (trained.folder / "champion" / "champion.json").write_text("[]")
    assert trained.footprint() == 2
    assert "expected an object with name and version" in capsys.readouterr().err
