"""Binance's spot dialect in front of the simulated exchange: REST, streams, ws-api, control."""
