"""One Relax pass a file."""
