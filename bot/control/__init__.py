"""The way to the running agent past the chat: a socket for its user alone, and the file HALT."""
