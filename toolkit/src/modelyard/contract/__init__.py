"""The data contract: what a table has to look like, and what is predicted of it."""

from modelyard.contract.model import Column, Contract, load_contract, read_table

__all__ = ["Column", "Contract", "load_contract", "read_table"]
