"""Closed candles on disk: one Parquet file per exchange, symbol, timeframe and month."""
