"""The specification of Umbra, as tests."""
