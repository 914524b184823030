"""Views of the desk as cards for a phone: pure, narrow, escaped."""
