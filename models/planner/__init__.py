"""From a sentence to a checked plan: a tiny language model, and what keeps it honest."""
