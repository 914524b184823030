"""The only SQL: the journal and its projections, behind the ports of the trading package."""
