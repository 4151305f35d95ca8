"""An organization's policy: what its projects may be made of, and have to keep to."""
