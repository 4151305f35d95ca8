"""The data contract: what a table has to look like, and what is predicted of it."""

from modelyard.contract.model import Column, Contract, load_contract
from modelyard.contract.reading import read_table

__all__ = ["Column", "Contract", "load_contract", "read_table"]
