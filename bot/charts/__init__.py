"""Chart pictures for a phone: what to draw is pure, drawing happens in a process of its own."""
