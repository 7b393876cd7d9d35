"""Ready-made nodes."""

if __name__ != "olympus.nodes":
    raise ImportError(f"this package was imported as {__name__!r}; import it as 'olympus.nodes'")
