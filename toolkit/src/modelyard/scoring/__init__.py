"""Batch scoring, on Azure ML and on a laptop; all but local_batch runs in the endpoint's environment."""
