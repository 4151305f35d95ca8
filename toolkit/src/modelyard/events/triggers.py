"""The function app's triggers: a queue for each kind of event, and a poison queue beside each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import azure.functions as func

from modelyard.events.event import Queue
from modelyard.events.receive import azure_services, receive

STORAGE = "AzureWebJobsStorage"


def function_app(project: Path) -> func.FunctionApp:
    """Return the function app of a project.

    Args:
        project: folder with azureml/, conf/ and src/, from which jobs are started.
    """
    logging.getLogger("azure").setLevel(logging.WARNING)
    app = func.FunctionApp()
    for queue in get_args(Queue):
        function = _function(queue, project)
        poison = app.queue_output(
            arg_name="poison", queue_name=f"{queue}-poison", connection=STORAGE
        )
        trigger = app.queue_trigger(arg_name="message", queue_name=queue, connection=STORAGE)
        app.function_name(queue.replace("-", "_"))(trigger(poison(function)))
    return app


def _function(queue: Queue, project: Path) -> Callable[[func.QueueMessage, func.Out[bytes]], None]:
    def handle(message: func.QueueMessage, poison: func.Out[bytes]) -> None:
        body, attempt = message.get_body(), message.dequeue_count or 1
        if not receive(queue, body, attempt, lambda: azure_services(project)):
            poison.set(body)

    return handle
