"""How fast it is: every workload makes its own data and checks that it did its work."""
