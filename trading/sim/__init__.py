"""The simulated exchange: one matching engine, an account, a market that moves, Binance's wire."""
