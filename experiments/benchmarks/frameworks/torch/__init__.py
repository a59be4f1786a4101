"""torch at its best: on a CPU every core, fused optimizers, convolutions channels last; or `torch.compile`d."""
