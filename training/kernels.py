"""The element-wise steps of the two transformers as autograd functions: kernels.c where it can be compiled, plain PyTorch otherwise.

Only training uses the compiled ones (bf16 on a CPU); they make a step about 1.7 times faster on PyTorch 1.13.
"""
import ctypes, hashlib, os, subprocess, tempfile
import torch
import torch.nn.functional as F


def load():
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kernels.c')
    target = os.path.join(tempfile.gettempdir(), 'pico-kernels-' + hashlib.sha1(open(source, 'rb').read()).hexdigest()[:12] + '.so')
    if not os.path.exists(target):
        subprocess.run(['gcc', '-O3', '-march=native', '-mprefer-vector-width=512', '-ffast-math', '-fopenmp', '-shared', '-fPIC', source, '-o', target + '.new', '-lm'], check=True)
        os.replace(target + '.new', target)
    return ctypes.CDLL(target)


try: lib = None if os.environ.get('PICO_PLAIN') else load()
except Exception as error: lib = print('kernels.c not compiled, using plain PyTorch:', error)
P = lambda t: ctypes.c_void_p(t.data_ptr() if t is not None else None)
I = ctypes.c_int64
BF = torch.bfloat16


def fast(x): return lib is not None and torch.is_autocast_cpu_enabled() and x.device.type == 'cpu'


class Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        lib.gelu(P(x), P(y), I(x.numel()))
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        dy, dx = dy.to(BF).contiguous(), torch.empty_like(x)
        lib.gelu_back(P(x), P(dy), P(dx), I(x.numel()))
        return dx


class Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        h = x.shape[-1] // 2
        y = torch.empty(*x.shape[:-1], h, dtype=BF)
        lib.swiglu(P(x), P(y), I(y.numel() // h), I(h))
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        dy, dx, h = dy.to(BF).contiguous(), torch.empty_like(x), x.shape[-1] // 2
        lib.swiglu_back(P(x), P(dy), P(dx), I(dy.numel() // h), I(h))
        return dx


class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, s, mask):
        s = s.contiguous()
        mask = mask if mask is None else mask.to(BF).contiguous()
        p = torch.empty_like(s)
        lib.softmax(P(s), P(mask), P(p), *map(I, s.shape))
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, dp):
        p, = ctx.saved_tensors
        dp, ds = dp.to(BF).contiguous(), torch.empty_like(p)
        lib.softmax_back(P(p), P(dp), P(ds), I(p.numel() // p.shape[-1]), I(p.shape[-1]))
        return ds, None


class Rms(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gain):
        x = x.float().contiguous()
        w = x.shape[-1]
        y, scale = torch.empty(x.shape, dtype=BF), torch.empty(x.numel() // w)
        lib.rms(P(x), P(gain), P(y), P(scale), I(x.numel() // w), I(w))
        ctx.save_for_backward(x, gain, scale)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gain, scale = ctx.saved_tensors
        dy, dx, dgain = dy.to(BF).contiguous(), torch.empty_like(x), torch.zeros_like(gain)
        lib.rms_back(P(x), P(gain), P(scale), P(dy), P(dx), P(dgain), I(scale.numel()), I(x.shape[-1]))
        return dx, dgain


class Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv, heads, cos, sin):  # qkv (batch, tokens, 3 * width)
        qkv = qkv.contiguous()
        b, n, w = qkv.shape
        ctx.sizes, ctx.turn = (b, n, heads, w // 3 // heads), (cos, sin)
        q, k, v = (torch.empty(b, heads, n, w // 3 // heads, dtype=BF) for _ in range(3))
        lib.split(P(qkv), P(cos), P(sin), P(q), P(k), P(v), *map(I, ctx.sizes), 0)
        return q, k, v

    @staticmethod
    def backward(ctx, dq, dk, dv):
        b, n, h, d = ctx.sizes
        dq, dk, dv = (t.to(BF).contiguous() for t in (dq, dk, dv))
        out = torch.empty(b, n, 3 * h * d, dtype=BF)
        lib.split(P(out), P(ctx.turn[0]), P(ctx.turn[1]), P(dq), P(dk), P(dv), *map(I, ctx.sizes), 1)
        return out, None, None, None


def gelu(x):
    """tanh approximation, as ggml's"""
    return Gelu.apply(x) if fast(x) and x.dtype == BF else F.gelu(x, approximate='tanh')


def swiglu(gate_up):  # (..., 2 * hidden) -> (..., hidden)
    if fast(gate_up) and gate_up.dtype == BF: return Swiglu.apply(gate_up)
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


def softmax(scores, mask=None):  # (batch, heads, tokens, keys), mask (batch, 1, tokens, keys)
    if fast(scores) and scores.dtype == BF: return Softmax.apply(scores, mask)
    return (scores if mask is None else scores + mask.to(scores.dtype)).softmax(-1)


def rms(x, gain): return Rms.apply(x, gain) if fast(x) else x * (torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5) * gain)


def split(qkv, heads, cos=None, sin=None):
    """qkv (batch, tokens, 3 * width) -> q (scaled), k, v, each (batch, heads, tokens, head width). Rotary positions on the halves of
    each head, cos and sin (batch, tokens, head width / 2); export.py reorders the rows to llama's adjacent pairs."""
    if fast(qkv) and qkv.dtype == BF: return Split.apply(qkv, heads, cos, sin)
    b, n, w = qkv.shape
    q, k, v = qkv.view(b, n, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if cos is not None:
        c, s = cos[:, None].to(q.dtype), sin[:, None].to(q.dtype)
        turn = lambda x, y: torch.cat((x * c - y * s, x * s + y * c), -1)
        q, k = turn(*q.chunk(2, -1)), turn(*k.chunk(2, -1))
    return q * q.shape[-1] ** -.5, k, v
