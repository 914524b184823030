"""Private stops and entries: what they watch, when they fire, and what follows."""
