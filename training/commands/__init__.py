"""Commands in many words: what the planner learns from, and what it is examined with."""
