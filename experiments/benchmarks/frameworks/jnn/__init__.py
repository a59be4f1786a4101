"""jnn: `training` trains a network, `models` has them by `jnn.models`, `natural` as they come to mind."""
