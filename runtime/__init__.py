"""What every node rests on: messages, bus, node, scheduler, store, safety, launch, cli."""

if __name__ != "olympus.runtime":
    raise ImportError(
        f"this package was imported as {__name__!r}; import it as 'olympus.runtime': "
        "a second copy of a module would mean a second stop state"
    )
