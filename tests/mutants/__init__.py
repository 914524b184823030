"""Mutation tests of what decides about money: `python -m tests.mutants`."""
