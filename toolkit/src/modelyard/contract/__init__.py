"""The data contract: columns, rules and target of a table."""

from modelyard.contract.model import Column, Contract, load_contract
from modelyard.contract.reading import read_table

__all__ = ["Column", "Contract", "load_contract", "read_table"]
