"""Data: sources, batches, tokenizers. Knows no model and no training."""
