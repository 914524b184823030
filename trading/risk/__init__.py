"""The risk gate: what a decision must pass before anything may be sent."""
