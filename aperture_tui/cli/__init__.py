"""The commands, one a file; the only room that knows all others, and imports them when they are needed."""
