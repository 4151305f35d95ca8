"""What happens when Azure ML tells something: a model was registered, a monitor breached, a run failed."""
