"""Commands of people: checked against the present, proposed, and executed once per cause."""
