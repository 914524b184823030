"""Closed candles as columns: what may be kept, how two sources meet, and what is missing (pure)."""
