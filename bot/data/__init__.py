"""`umbra data`: the archive of candles from the command line."""
