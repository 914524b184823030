"""What the market says: prices that may be believed, how old they are, and how they move."""
