"""The border: what exchanges say, checked and put into our words once, or refused as unusable."""
