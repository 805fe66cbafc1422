"""What takes the pushes of all machines, stores each once, and answers questions. Knows nothing of the agent."""
