"""The infrastructure: checked, drawn and priced from what the Bicep compiler predicts, and deployed."""
