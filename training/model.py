"""pico: LLaVA 1.5 in small. Vision transformer -> two-layer projector -> llama decoder with tied embeddings."""
import math
import torch
import torch.nn.functional as F
from torch import nn
from draw import GRID, OBJECT_CLASSES, PATCH
from kernels import gelu, rms, softmax, split, swiglu
from vocabulary import COLOURS, EMOJI, LETTERS, SHAPES

IMAGE = -1  # stands in `ids` for one row of the picture
ROWS = GRID * GRID
VISION = dict(width=192, blocks=6, heads=6, hidden=768)
TEXT = dict(width=192, blocks=5, heads=6, hidden=512, context=1024)
HEADS = {'thing': OBJECT_CLASSES, 'colour': len(COLOURS), 'left': 1 + len(LETTERS), 'right': 1 + len(LETTERS), 'centre': 2}


def weight(*shape, std=.02): return nn.Parameter(torch.randn(*shape) * std)


class VisionBlock(nn.Module):
    def __init__(self, width, heads, hidden, blocks):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.qkv_bias = weight(3, width, width, std=width ** -.5), nn.Parameter(torch.zeros(3 * width))
        self.out, self.out_bias = weight(width, width, std=(2 * blocks * width) ** -.5), nn.Parameter(torch.zeros(width))
        self.up, self.up_bias = weight(hidden, width, std=width ** -.5), nn.Parameter(torch.zeros(hidden))
        self.down, self.down_bias = weight(width, hidden, std=(2 * blocks * hidden) ** -.5), nn.Parameter(torch.zeros(width))

    def forward(self, x):  # (pictures, patches, width)
        b, n, w = x.shape
        q, k, v = split(F.linear(self.ln1(x), self.qkv.flatten(0, 1), self.qkv_bias), self.heads)  # each (pictures, heads, patches, head width)
        a = softmax(torch.matmul(q, k.transpose(-1, -2)))  # (pictures, heads, patches, patches)
        x = x + F.linear(torch.matmul(a, v).transpose(1, 2).reshape(b, n, w), self.out, self.out_bias)
        h = gelu(F.linear(self.ln2(x), self.up, self.up_bias))  # (pictures, patches, hidden)
        return x + F.linear(h, self.down, self.down_bias)


class Vision(nn.Module):
    def __init__(self, width, heads, hidden, blocks):
        super().__init__()
        self.patch, self.patch_bias = weight(width, 3 * PATCH * PATCH, std=.02), nn.Parameter(torch.zeros(width))
        self.position = weight(ROWS, width, std=.1)
        self.blocks = nn.ModuleList([VisionBlock(width, heads, hidden, blocks) for _ in range(blocks)])

    def forward(self, pictures):  # (pictures, rows, cols, 3) uint8
        b = pictures.shape[0]
        x = pictures.view(b, GRID, PATCH, GRID, PATCH, 3).permute(0, 1, 3, 5, 2, 4).reshape(b, ROWS, -1)  # (pictures, patches, 3 * 16 * 16), channel first
        x = F.linear(x.float() / 127.5 - 1, self.patch, self.patch_bias) + self.position
        for block in self.blocks: x = block(x)
        return x  # (pictures, patches, width)


class TextBlock(nn.Module):
    def __init__(self, width, heads, hidden, blocks):
        super().__init__()
        self.heads = heads
        self.attn_norm, self.ffn_norm = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.qkv, self.out = weight(3, width, width, std=width ** -.5), weight(width, width, std=(2 * blocks * width) ** -.5)
        self.gate_up = weight(2, hidden, width, std=width ** -.5)
        self.down = weight(width, hidden, std=(2 * blocks * hidden) ** -.5)

    def forward(self, x, cos, sin, mask, cache=None):  # (rows, tokens, width)
        b, n, w = x.shape
        q, k, v = split(F.linear(rms(x, self.attn_norm), self.qkv.flatten(0, 1)), self.heads, cos, sin)  # each (rows, heads, tokens, head width)
        if cache is not None:
            if 'k' in cache: k, v = torch.cat((cache['k'], k), 2), torch.cat((cache['v'], v), 2)
            cache['k'], cache['v'] = k, v
        a = softmax(torch.matmul(q, k.transpose(-1, -2)), mask)  # (rows, heads, tokens, keys)
        x = x + F.linear(torch.matmul(a, v).transpose(1, 2).reshape(b, n, w), self.out)
        h = swiglu(F.linear(rms(x, self.ffn_norm), self.gate_up.flatten(0, 1)))  # (rows, tokens, hidden)
        return x + F.linear(h, self.down)


class Pico(nn.Module):
    def __init__(self, vocab, vision=VISION, text=TEXT):
        super().__init__()
        self.config = dict(vocab=vocab, vision=vision, text=text)
        self.vision = Vision(**vision)
        self.heads = nn.Linear(vision['width'], sum(HEADS.values()))  # training only: what is on each patch
        w = text['width']
        self.mm0, self.mm0_bias = weight(w, vision['width'], std=vision['width'] ** -.5), nn.Parameter(torch.zeros(w))
        self.mm2, self.mm2_bias = weight(w, w, std=w ** -.5), nn.Parameter(torch.zeros(w))
        self.embedding = weight(vocab, w, std=.05)
        self.blocks = nn.ModuleList([TextBlock(w, text['heads'], text['hidden'], text['blocks']) for _ in range(text['blocks'])])
        self.norm = nn.Parameter(torch.ones(w))
        half = w // text['heads'] // 2
        self.register_buffer('frequency', 10000. ** (-torch.arange(half) / half), persistent=False)  # (head width / 2) float32

    def project(self, seen): return F.linear(gelu(F.linear(seen, self.mm0, self.mm0_bias)), self.mm2, self.mm2_bias)  # (pictures, patches, text width)

    def embed(self, ids, rows):
        """ids (rows, tokens) int64 with IMAGE where a picture row belongs; rows (pictures, patches, width) in reading order."""
        x = F.embedding(ids.clamp(min=0), self.embedding)  # (rows, tokens, width) float32
        if rows is None: return x
        where = (ids == IMAGE).flatten().nonzero().squeeze(1)  # (pictures * patches) int64
        return x.flatten(0, 1).index_copy(0, where, rows.reshape(-1, rows.shape[-1]).to(x.dtype)).view_as(x)

    def decode(self, x, positions, mask, caches=None):  # x (rows, tokens, width), positions (rows, tokens) int64, mask (rows, 1, tokens, keys)
        angle = positions[:, :, None].float() * self.frequency  # (rows, tokens, head width / 2) float32
        cos, sin = angle.cos(), angle.sin()
        for i, block in enumerate(self.blocks): x = block(x, cos, sin, mask, None if caches is None else caches[i])
        return rms(x, self.norm)

    def dense_loss(self, seen, labels):
        """seen (pictures, patches, width), labels (pictures, 5, patches) int64 -> loss, {head: accuracy}"""
        out, loss, accuracy = self.heads(seen).float().split(list(HEADS.values()), -1), 0., {}
        for i, (name, logits) in enumerate(zip(HEADS, out)):
            target = labels[:, i]  # (pictures, patches)
            w = torch.ones(logits.shape[-1])
            if name != 'colour': w[0] = {'thing': .3, 'left': .15, 'right': .15, 'centre': .4}[name]
            loss = loss + {'thing': 1., 'colour': .35, 'left': .7, 'right': .7, 'centre': .6}[name] * F.cross_entropy(logits.flatten(0, 1), target.flatten(), w, ignore_index=-100)
            with torch.no_grad():
                care = target > 0 if name != 'colour' else target >= 0
                accuracy[name] = (logits.argmax(-1)[care] == target[care]).float().mean().item()
        return loss, accuracy

    def word_loss(self, rows, labels, words):
        """The projected row of a patch should point to the embeddings of the words for what lies there, so that the decoder can match
        words of a question with rows. rows (pictures, patches, text width), labels (pictures, 5, patches) int64, words: see name_words."""
        thing, colour, left, right = labels[:, :4].flatten(2).unbind(1)  # each (pictures, patches)
        at = (thing > 0).flatten().nonzero().squeeze(1)  # (patches of things) int64
        thing, colour, left, right = (x.flatten()[at] for x in (thing, colour, left, right))
        target = words['thing'][thing] + .5 * words['colour'][colour.clamp(min=0)] * (colour >= 0)[:, None]  # (patches of things, vocab) float32
        letters = words['letter'][left] + words['letter'][right]
        target = torch.where((left + right > 0)[:, None], letters, target)
        logits = F.linear(rms(rows.flatten(0, 1)[at], torch.ones(rows.shape[-1])), self.embedding).float()  # (patches of things, vocab) float32
        return -(target / target.sum(-1, keepdim=True) * logits.log_softmax(-1)).sum(-1).mean()


def name_words(tokenizer):
    """{label kind: (classes, vocab) float32}: which tokens the name of each class consists of."""
    def table(names):
        t = torch.zeros(len(names), len(tokenizer.vocab))
        for i, n in enumerate(names):
            ids = sorted(set(tokenizer.encode(n))) if n else []
            t[i, ids] = 1 / max(1, len(ids))
        return t
    capitals = [c.upper() for c in LETTERS]
    return dict(thing=table([''] + [' ' + e[1] for e in EMOJI] + [' ' + s for s in SHAPES] + capitals), colour=table([' ' + c for c in COLOURS]), letter=table([''] + capitals))


def attention_mask(segment, dtype=torch.bfloat16):
    """segment (rows, tokens): 0 = BOS, 1 = picture prefix, 2.. = a turn, 100.. = a turn without the picture, -1 = padding.
    A token sees what came before it in its own segment, BOS, and the picture unless it belongs to a talk turn. -> (rows, 1, tokens, tokens)"""
    i, j = segment[:, :, None], segment[:, None, :]
    n = segment.shape[1]
    seen = ((i == j) | (j == 0) | ((j == 1) & (i > 0) & (i < 100))) & torch.ones(n, n, dtype=torch.bool).tril()
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -30000.)[:, None]
