"""The Protocols behind which clock, exchange, storage and history stand."""
