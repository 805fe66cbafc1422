"""System calls by name and number, and their events. Knows nothing of how they are traced."""
