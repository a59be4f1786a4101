"""The transformer of 2017 in torch, as an oracle, and the names of its weights."""

import torch

NAMES = {  # names of two stacks of torch's layers, which have biases everywhere
    **{f"*coder/blocks/{ours}/{x}/w": f"*coder.layers.{{i}}.{theirs}.in_proj_weight[{i}/3]"
       for ours, theirs in (("attention", "self_attn"), ("cross", "multihead_attn")) for i, x in enumerate("qkv")},
    **{f"*coder/blocks/{ours}/{x}/b": f"*coder.layers.{{i}}.{theirs}.in_proj_bias[{i}/3]"
       for ours, theirs in (("attention", "self_attn"), ("cross", "multihead_attn")) for i, x in enumerate("qkv")},
    "*coder/blocks/attention/o/*": "*coder.layers.{i}.self_attn.out_proj.*",
    "*coder/blocks/cross/o/*": "*coder.layers.{i}.multihead_attn.out_proj.*",
    "*coder/blocks/norm1/*": "*coder.layers.{i}.norm1.*",
    "*coder/blocks/norm_cross/*": "*coder.layers.{i}.norm2.*",
    "decoder/blocks/norm2/*": "decoder.layers.{i}.norm3.*",
    "encoder/blocks/norm2/*": "encoder.layers.{i}.norm2.*",
    "*coder/blocks/up/*": "*coder.layers.{i}.linear1.*",
    "*coder/blocks/down/*": "*coder.layers.{i}.linear2.*",
}  # fmt: skip


class Transformer(torch.nn.Module):
    """The paper's, of torch's layers."""

    def __init__(self, vocab, layers, heads, embed, hidden):
        super().__init__()
        kinds = torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer
        layer = [kind(embed, heads, hidden, dropout=0.0, batch_first=True) for kind in kinds]
        self.embed = torch.nn.Embedding(vocab, embed)
        self.encoder = torch.nn.TransformerEncoder(layer[0], layers, enable_nested_tensor=False)
        self.decoder = torch.nn.TransformerDecoder(layer[1], layers)

    def forward(self, source, target, lengths):
        padding = torch.arange(source.shape[1]) >= lengths[:, None]
        future = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        rows = self.encoder(self.placed(source), src_key_padding_mask=padding)
        x = self.decoder(self.placed(target), rows, tgt_mask=future, memory_key_padding_mask=padding)
        return x @ self.embed.weight.T

    def placed(self, tokens):
        x = self.embed(tokens)
        (t, d), where = x.shape[1:], torch.zeros(x.shape[1:], dtype=x.dtype)
        for i in range(d // 2):
            angles = torch.arange(t, dtype=x.dtype) / 10_000 ** (2 * i / d)
            where[:, 2 * i], where[:, 2 * i + 1] = torch.sin(angles), torch.cos(angles)
        return x * d**0.5 + where
