"""What is checked of the infrastructure here, without Azure and without a Bicep compiler."""
