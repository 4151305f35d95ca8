"""Events as Azure's documentation shows them: learn.microsoft.com/azure/event-grid/event-schema-machine-learning."""

from __future__ import annotations

import copy
import json
from typing import Any

WORKSPACE = (
    "/subscriptions/{subscription-id}/resourceGroups/{resource-group-name}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace-name}"
)

MODEL_REGISTERED: dict[str, Any] = {
    "topic": WORKSPACE,
    "subject": "models/sklearn_regression_model:20",
    "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
    "eventTime": "2017-06-26T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {
        "ModelName": "sklearn_regression_model",
        "ModelVersion": 20,
        "ModelTags": {"area": "diabetes", "type": "regression"},
        "ModelProperties": {"type": "test"},
    },
    "dataVersion": "",
    "metadataVersion": "1",
}

_RUN_PROPERTIES = {
    "runTemplate": "automl_child",
    "pipeline_id": "5adc0a4fe02504a586f09a4fcbb241f9a4012062",
    "training_percent": "100",
    "predicted_cost": "0.062226144097381045",
    "iteration": "5",
    "run_algorithm": "LassoLars",
    "model_name": "AutoMLad912b2d65",
}

RUN_STATUS_CHANGED: dict[str, Any] = {
    "topic": WORKSPACE,
    "subject": (
        "experiments/0fa9dfaa-cba3-4fa7-b590-23e48548f5c1"
        "/runs/AutoML_ad912b2d-6467-4f32-a616-dbe4af6dd8fc_5"
    ),
    "eventType": "Microsoft.MachineLearningServices.RunStatusChanged",
    "eventTime": "2017-06-26T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {
        "experimentId": "0fa9dfaa-cba3-4fa7-b590-23e48548f5c1",
        "experimentName": "automl-local-regression",
        "runId": "AutoML_ad912b2d-6467-4f32-a616-dbe4af6dd8fc_5",
        "runType": None,
        "runTags": {},
        "runProperties": _RUN_PROPERTIES,
        "runStatus": "failed",
    },
    "dataVersion": "",
    "metadataVersion": "1",
}

# The text is what a monitor's step writes (Azure/azureml-assets, model_monitor_evaluate_metrics_threshold);
# learn.microsoft.com/azure/machine-learning/how-to-monitor-model-performance filters on its words.
BREACH = (
    "The signal 'data_drift' has failed due to one or more features violating metric thresholds.\n"
    "The feature names and their corresponding computed metric values violating the threshold are \n"
    '[\'{"group":"distance","metric_value":0.21,"metric_name":"NormalizedWassersteinDistance",'
    '"threshold_value":0.1}\']\n'
)


def changed(event: dict[str, Any], data: dict[str, Any] | None = None, **top: Any) -> bytes:
    """The event with some of it replaced, as a message."""
    copied = copy.deepcopy(event)
    copied.update(top)
    copied["data"].update(data or {})
    return json.dumps(copied).encode()


def cloud_event(event: dict[str, Any]) -> bytes:
    """The same in the schema of CloudEvents, as the documentation's second tab shows it."""
    names = {"topic": "source", "eventType": "type", "eventTime": "time"}
    kept = {names.get(key, key): value for key, value in event.items() if "Version" not in key}
    return json.dumps(kept | {"specversion": "1.0"}).encode()


def registered(model: str = "flight-delay", version: int = 3, **top: Any) -> bytes:
    """A version of the project's model, registered by the training pipeline."""
    data = {
        "ModelName": model,
        "ModelVersion": version,
        "ModelProperties": {"mlops.run_id": "brave_bear_x1"},
    }
    return changed(MODEL_REGISTERED, data, **top)


def failed(run: str = "brave_bear_x1", **top: Any) -> bytes:
    """A run that failed."""
    return changed(RUN_STATUS_CHANGED, {"runId": run, "experimentName": "training"}, **top)


def breached(run: str = "calm_cat_y2", **top: Any) -> bytes:
    """A step of a monitor that found a metric beyond its threshold; such a run completes."""
    data = {
        "runId": run,
        "runStatus": "Completed",
        "runTags": {"azureml_modelmonitor_threshold_breached": BREACH},
    }
    return changed(RUN_STATUS_CHANGED, data, **top)
