"""Models of tables that follow a contract: encoding, training, saving, loading, predicting."""

from modelyard.gates import Threshold
from modelyard.modelling.assembling import assemble
from modelyard.modelling.calibrating import calibrate
from modelyard.modelling.coded import Coded
from modelyard.modelling.comparing import Candidate, Choice, compare
from modelyard.modelling.derived import derive
from modelyard.modelling.encoding import (
    Feature,
    categorical_positions,
    choose_features,
    cyclic_positions,
    encoder,
    fit_encoder,
    labels,
)
from modelyard.modelling.live_metrics import LiveMetrics
from modelyard.modelling.predicting import Prediction, predict
from modelyard.modelling.saving import load_model, save_model
from modelyard.modelling.stopping import Learned, early_stopping
from modelyard.modelling.threshold import choose_threshold

__all__ = [
    "Candidate",
    "Choice",
    "Coded",
    "Feature",
    "Learned",
    "LiveMetrics",
    "Prediction",
    "Threshold",
    "assemble",
    "calibrate",
    "categorical_positions",
    "choose_features",
    "choose_threshold",
    "compare",
    "cyclic_positions",
    "derive",
    "early_stopping",
    "encoder",
    "fit_encoder",
    "labels",
    "load_model",
    "predict",
    "save_model",
]
