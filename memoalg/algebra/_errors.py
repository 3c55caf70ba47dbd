"""The error of a declaration whose types do not close."""


class AlgebraTypeError(TypeError):
    """A monoid's methods do not agree in pytree structure, shape or dtype.

    Raised when the monoid is constructed, before any data is seen. The message names the class,
    the leaf by its key path, what was expected, what came, and what to write instead.

    Example:
        >>> import memoalg as ma
        >>> issubclass(ma.AlgebraTypeError, TypeError)
        True
    """


# A traceback names what a user can import.
AlgebraTypeError.__module__ = "memoalg"
