"""The triggers: one queue for each kind of event, and one beside it for what nobody understands."""

from __future__ import annotations

import logging

import azure.functions as func

from events.receive import receive

logging.getLogger("azure").setLevel(logging.WARNING)

app = func.FunctionApp()

STORAGE = "AzureWebJobsStorage"


@app.queue_trigger(arg_name="message", queue_name="model-registered", connection=STORAGE)
@app.queue_output(arg_name="poison", queue_name="model-registered-poison", connection=STORAGE)
def model_registered(message: func.QueueMessage, poison: func.Out[bytes]) -> None:
    """Start the offline test of the model."""
    if not receive("model-registered", message.get_body(), message.dequeue_count or 1):
        poison.set(message.get_body())


@app.queue_trigger(arg_name="message", queue_name="monitor-breached", connection=STORAGE)
@app.queue_output(arg_name="poison", queue_name="monitor-breached-poison", connection=STORAGE)
def monitor_breached(message: func.QueueMessage, poison: func.Out[bytes]) -> None:
    """Start a retraining."""
    if not receive("monitor-breached", message.get_body(), message.dequeue_count or 1):
        poison.set(message.get_body())


@app.queue_trigger(arg_name="message", queue_name="run-failed", connection=STORAGE)
@app.queue_output(arg_name="poison", queue_name="run-failed-poison", connection=STORAGE)
def run_failed(message: func.QueueMessage, poison: func.Out[bytes]) -> None:
    """Tell the operations address."""
    if not receive("run-failed", message.get_body(), message.dequeue_count or 1):
        poison.set(message.get_body())
