"""Which parameters of a spec a map is about: by patterns of paths, as `jnn.param` finds them."""

from jnn.param import Where, linear_maps, matching

__all__ = ["Where", "linear_maps", "matching"]
