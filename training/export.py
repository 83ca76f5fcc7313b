"""Checkpoint -> pico.gguf (llama) + pico-mmproj.gguf (clip, LLaVA's mlp projector), F16; and back, for the evaluation.

python3 export.py RUN FOLDER [--average]
"""
import json, os, sys
import numpy as np
import torch
import gguf
from draw import PATCH, SIDE
from model import Pico
from tokenizer import BOS, EOS, UNK, Tokenizer

TEMPLATE = """{%- for message in messages -%}
{%- if message['content'] is string -%}
{%- set images = '' -%}{%- set text = message['content'] -%}
{%- else -%}
{%- set found = namespace(images='', text='') -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' or part['type'] == 'image_url' -%}{%- set found.images = found.images + '<image>\\n' -%}
{%- elif part['type'] == 'text' -%}{%- set found.text = found.text + part['text'] -%}{%- endif -%}
{%- endfor -%}
{%- set images = found.images -%}{%- set text = found.text -%}
{%- endif -%}
{%- if message['role'] == 'system' -%}{{ text + ' ' }}
{%- elif message['role'] == 'assistant' -%}{{ 'ASSISTANT: ' + text + '</s>' }}
{%- else -%}{{ 'USER: ' + images + text + ' ' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}"""


def adjacent(w, heads):
    """Rows of q or k (out, in): rotary halves -> llama's adjacent pairs."""
    out, n = w.shape
    return w.reshape(heads, 2, out // heads // 2, n).swapaxes(1, 2).reshape(out, n)


def halves(w, heads):
    out, n = w.shape
    return w.reshape(heads, out // heads // 2, 2, n).swapaxes(1, 2).reshape(out, n)


def tables(weights, config):
    """{gguf name: float32 array} of the two files."""
    w = {k: v.detach().float().numpy() for k, v in weights.items()}
    vision, text = config['vision'], config['text']
    v = {'v.patch_embd.weight': w['vision.patch'].reshape(-1, 3, PATCH, PATCH), 'v.patch_embd.bias': w['vision.patch_bias'], 'v.position_embd.weight': w['vision.position']}
    for i in range(vision['blocks']):
        s, d = f'vision.blocks.{i}.', f'v.blk.{i}.'
        for n in ('ln1', 'ln2'): v[f'{d}{n}.weight'], v[f'{d}{n}.bias'] = w[f'{s}{n}.weight'], w[f'{s}{n}.bias']
        for j, n in enumerate('qkv'): v[f'{d}attn_{n}.weight'], v[f'{d}attn_{n}.bias'] = w[s + 'qkv'][j], w[s + 'qkv_bias'].reshape(3, -1)[j]
        for n, m in (('out', 'attn_out'), ('up', 'ffn_up'), ('down', 'ffn_down')): v[f'{d}{m}.weight'], v[f'{d}{m}.bias'] = w[s + n], w[f'{s}{n}_bias']
    for n in ('0', '2'): v[f'mm.{n}.weight'], v[f'mm.{n}.bias'] = w['mm' + n], w[f'mm{n}_bias']
    t = {'token_embd.weight': w['embedding'], 'output_norm.weight': w['norm']}
    for i in range(text['blocks']):
        s, d, h = f'blocks.{i}.', f'blk.{i}.', text['heads']
        q, k, value = w[s + 'qkv']
        t.update({d + 'attn_norm.weight': w[s + 'attn_norm'], d + 'attn_q.weight': adjacent(q, h), d + 'attn_k.weight': adjacent(k, h), d + 'attn_v.weight': value, d + 'attn_output.weight': w[s + 'out'],
                  d + 'ffn_norm.weight': w[s + 'ffn_norm'], d + 'ffn_gate.weight': w[s + 'gate_up'][0], d + 'ffn_up.weight': w[s + 'gate_up'][1], d + 'ffn_down.weight': w[s + 'down']})
    return v, t


def pack(table):
    """Matrices in F16, vectors and the position table in F32."""
    return [(n, a.astype(np.float32 if a.ndim == 1 or n == 'v.position_embd.weight' else np.float16)) for n, a in table.items()]


def export(weights, config, vocab, folder):
    vision, text = config['vision'], config['text']
    v, t = tables(weights, config)
    licence = [('general.license', 'str', 'mit'), ('general.file_type', 'u32', 1), ('general.quantization_version', 'u32', 2)]
    gguf.write(f'{folder}/pico-mmproj.gguf', [
        ('general.architecture', 'str', 'clip'), ('general.type', 'str', 'mmproj'), ('general.name', 'str', 'pico'), *licence,
        ('clip.has_vision_encoder', 'bool', True), ('clip.projector_type', 'str', 'mlp'), ('clip.use_gelu', 'bool', True), ('mull.projector_gelu', 'str', 'tanh'),
        ('clip.vision.image_size', 'u32', SIDE), ('clip.vision.patch_size', 'u32', PATCH), ('clip.vision.embedding_length', 'u32', vision['width']),
        ('clip.vision.feed_forward_length', 'u32', vision['hidden']), ('clip.vision.block_count', 'u32', vision['blocks']), ('clip.vision.projection_dim', 'u32', text['width']),
        ('clip.vision.attention.head_count', 'u32', vision['heads']), ('clip.vision.attention.layer_norm_epsilon', 'f32', 1e-5), ('clip.vision.feature_layer', '[i32]', [vision['blocks']]),
        ('clip.vision.image_mean', '[f32]', [.5] * 3), ('clip.vision.image_std', '[f32]', [.5] * 3), ('clip.vision.image_aspect_ratio', 'str', 'pad')], pack(v))
    gguf.write(f'{folder}/pico.gguf', [
        ('general.architecture', 'str', 'llama'), ('general.name', 'str', 'pico'), ('general.description', 'str', 'A small LLaVA-architecture model trained on drawn pictures'), *licence,
        ('llama.context_length', 'u32', text['context']), ('llama.embedding_length', 'u32', text['width']), ('llama.block_count', 'u32', text['blocks']), ('llama.feed_forward_length', 'u32', text['hidden']),
        ('llama.attention.head_count', 'u32', text['heads']), ('llama.attention.head_count_kv', 'u32', text['heads']), ('llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5),
        ('llama.rope.dimension_count', 'u32', text['width'] // text['heads']), ('llama.rope.freq_base', 'f32', 10000.), ('llama.vocab_size', 'u32', len(vocab)),
        ('tokenizer.ggml.model', 'str', 'llama'), ('tokenizer.ggml.tokens', '[str]', [x for x, _, _ in vocab]), ('tokenizer.ggml.scores', '[f32]', [s for _, s, _ in vocab]),
        ('tokenizer.ggml.token_type', '[i32]', [k for _, _, k in vocab]), ('tokenizer.ggml.bos_token_id', 'u32', BOS), ('tokenizer.ggml.eos_token_id', 'u32', EOS), ('tokenizer.ggml.unknown_token_id', 'u32', UNK),
        ('tokenizer.ggml.add_bos_token', 'bool', True), ('tokenizer.ggml.add_eos_token', 'bool', False), ('tokenizer.ggml.add_space_prefix', 'bool', False), ('tokenizer.chat_template', 'str', TEMPLATE)], pack(t))


def load(folder):
    """(model, tokenizer) from an exported pair."""
    vm, v = gguf.read(f'{folder}/pico-mmproj.gguf')
    tm, t = gguf.read(f'{folder}/pico.gguf')
    vision = dict(width=vm['clip.vision.embedding_length'], blocks=vm['clip.vision.block_count'], heads=vm['clip.vision.attention.head_count'], hidden=vm['clip.vision.feed_forward_length'])
    text = dict(width=tm['llama.embedding_length'], blocks=tm['llama.block_count'], heads=tm['llama.attention.head_count'], hidden=tm['llama.feed_forward_length'], context=tm['llama.context_length'])
    f = lambda d, n: torch.from_numpy(np.array(d[n], np.float32))
    w = {'vision.patch': f(v, 'v.patch_embd.weight').flatten(1), 'vision.patch_bias': f(v, 'v.patch_embd.bias'), 'vision.position': f(v, 'v.position_embd.weight'), 'embedding': f(t, 'token_embd.weight'), 'norm': f(t, 'output_norm.weight')}
    for i in range(vision['blocks']):
        s, d = f'vision.blocks.{i}.', f'v.blk.{i}.'
        for n in ('ln1', 'ln2'): w[f'{s}{n}.weight'], w[f'{s}{n}.bias'] = f(v, f'{d}{n}.weight'), f(v, f'{d}{n}.bias')
        w[s + 'qkv'], w[s + 'qkv_bias'] = torch.stack([f(v, f'{d}attn_{n}.weight') for n in 'qkv']), torch.cat([f(v, f'{d}attn_{n}.bias') for n in 'qkv'])
        for n, m in (('out', 'attn_out'), ('up', 'ffn_up'), ('down', 'ffn_down')): w[s + n], w[f'{s}{n}_bias'] = f(v, f'{d}{m}.weight'), f(v, f'{d}{m}.bias')
    for n in ('0', '2'): w['mm' + n], w[f'mm{n}_bias'] = f(v, f'mm.{n}.weight'), f(v, f'mm.{n}.bias')
    for i in range(text['blocks']):
        s, d, h = f'blocks.{i}.', f'blk.{i}.', text['heads']
        w[s + 'qkv'] = torch.stack([halves(f(t, d + 'attn_q.weight'), h), halves(f(t, d + 'attn_k.weight'), h), f(t, d + 'attn_v.weight')])
        w[s + 'attn_norm'], w[s + 'ffn_norm'], w[s + 'out'], w[s + 'down'] = (f(t, f'{d}{n}.weight') for n in ('attn_norm', 'ffn_norm', 'attn_output', 'ffn_down'))
        w[s + 'gate_up'] = torch.stack([f(t, d + 'ffn_gate.weight'), f(t, d + 'ffn_up.weight')])
    model = Pico(len(tm['tokenizer.ggml.tokens']), vision, text)
    missing = model.load_state_dict(w, strict=False)
    assert not missing.unexpected_keys and all(k.startswith('heads.') for k in missing.missing_keys), missing
    tokenizer = Tokenizer(list(zip(tm['tokenizer.ggml.tokens'], tm['tokenizer.ggml.scores'], tm['tokenizer.ggml.token_type'])))
    return model.eval(), tokenizer


if __name__ == '__main__':
    run, folder = sys.argv[1:3]
    saved = torch.load(f'{run}/checkpoint.pt', map_location='cpu')
    weights = saved['average' if '--average' in sys.argv else 'model']
    os.makedirs(folder, exist_ok=True)
    export(weights, saved['config'], json.load(open(f'{run}/tokenizer.json')), folder)
    model, _ = load(folder)  # reads back what was written
    worst = max(((p - weights[n]).abs().max() / (weights[n].abs().max() + 1e-9)).item() for n, p in model.named_parameters() if not n.startswith('heads.'))
    print('exported', saved['state'], 'largest relative rounding', f'{worst:.1e}', {f: os.path.getsize(f'{folder}/{f}') for f in ('pico.gguf', 'pico-mmproj.gguf')})
