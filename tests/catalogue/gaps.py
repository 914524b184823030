"""What is owed and not proven yet, with the reason; a row without a gap is proven whole."""

GAPS: dict[str, str] = {}
