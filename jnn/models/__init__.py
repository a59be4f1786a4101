"""Models: one architecture a file, made of layers; a `*_spec` beside a function, one storey up."""
