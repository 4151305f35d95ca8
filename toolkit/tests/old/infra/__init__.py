"""Tests of what checks the infrastructure."""
