"""Plain JAX and Optax, as a competent user writes without a layer library: one jitted step with donated state."""
