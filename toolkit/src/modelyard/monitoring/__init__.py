"""Watches what an endpoint is asked, as monitors of Azure ML do."""
