"""Models: manifests, the registry that checks them, and what runs them."""
