"""The first day in a project: steps by role, in a copy of it, checked by what they leave behind."""

STATE = "tour.json"  # in the copy: who is on tour, and what was done
