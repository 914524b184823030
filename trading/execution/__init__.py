"""Execution: decisions become orders, each at most once, and nothing unknown is ever guessed."""
