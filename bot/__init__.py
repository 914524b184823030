"""What people touch: the chat, the local chat server, the command line, and the wiring of it all."""
