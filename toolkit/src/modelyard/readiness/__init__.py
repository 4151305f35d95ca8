"""How far a project is on Azure's MLOps maturity model: checked where evidence tells, asked where only people know."""
