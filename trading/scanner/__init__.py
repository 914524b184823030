"""The scanner: how unusual the running candles are, what that once led to, and whom to tell."""
