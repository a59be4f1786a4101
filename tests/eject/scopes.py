"""Names that are one thing here and another there; and names that no one definition says what they are."""

from jnn.layers import linear

SLOPE = 2.0
OFFSETS = {"low": 1.0}
OFFSETS["high"] = 2.0
LOW = HIGH = 4.0  # one value, two names
(WIDE, NARROW), DEEP = divmod(7, 2), 3
STEPS = 1.0
STEPS += 2.0
calls = 0


def scaled(x):
    """Not what `Both.other` calls by this name."""
    return SLOPE * x


class Both:
    """Two methods, of which one has a name of its own."""

    def one(self, x):
        """By a function of jnn that goes by another's name."""
        from jnn.activations import mish as scaled

        return scaled(x)

    def other(self, x):
        """By this module's."""
        return scaled(x)


def both(x):
    """Each by its own function, in a local function too."""

    def inner(x):
        from .own import linear as scaled

        return scaled(x, 3.0)

    return Both().one(x) + Both().other(x) + inner(x) + scaled(x)


def summed(x):
    """A closure that changes what is around it."""
    total = 0.0

    def add(y):
        nonlocal total
        total = total + y
        return total

    return add(x) + add(2 * x)


if SLOPE > 3:

    def steep(x):
        """One of two."""
        return linear(x, x)
else:

    def steep(x):
        """The other."""
        return x


def by_branches(x):
    """By a name that is bound twice."""
    return steep(x)


def by_table(x):
    """By what has been put into a table."""
    return x + OFFSETS["high"]


def by_names_of_one_value(x):
    """By two names of one statement, and one of another."""
    return LOW * x + HIGH + DEEP


def by_unpacking(x):
    """By a name that is unpacked."""
    return x * NARROW


def by_sum(x):
    """By a number that has changed."""
    return x * STEPS


def counted(x):
    """Changes a number of the module's."""
    global calls  # noqa: PLW0603
    calls += 1
    return x * calls


def either(x):
    """By one of two functions of one name."""
    if SLOPE > 3:
        from jnn.activations import mish as f
    else:
        from jnn.activations import softplus as f
    return f(x)
