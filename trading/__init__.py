"""The product: markets, trackers, risk and execution, free of chat and SQL."""
