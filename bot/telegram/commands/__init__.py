"""What each command does: read the words, ask the desk, render the answer."""
