"""What the pipelines of GitHub Actions and Azure DevOps call, and what connects a repository with them."""
