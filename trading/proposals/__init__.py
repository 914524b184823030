"""What a command would do, before anybody is asked: pure sizing, estimates and agreement."""
