"""The vocabulary of trading: frozen values that every other room speaks, standard library only."""
