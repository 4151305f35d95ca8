"""The documents of a project's lifecycle, filled from its files and evidence: charter, decision record, exit report."""
