"""What people touch: the chat, the command line, and the wiring of it all."""
