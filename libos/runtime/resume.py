"""One step of a coroutine; compiled code uses resume.h."""


def send(coroutine):
    """What the coroutine yields next; Ellipsis when it has ended. Its own exceptions pass through."""
    try:
        return coroutine.send(None)
    except StopIteration:
        return ...
