"""Many projects of one template: what they are, and how a new version of it reaches them."""
