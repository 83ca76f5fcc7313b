"""GGUF version 3: write and read, only what pico needs (metadata, F32 and F16 tensors)."""
import struct
import numpy as np

CODES = {'u32': 4, 'i32': 5, 'f32': 6, 'bool': 7, 'str': 8, 'u64': 10}
PACK = {'u32': '<I', 'i32': '<i', 'f32': '<f', 'bool': '<?', 'u64': '<Q'}
KIND = {np.dtype('float32'): 0, np.dtype('float16'): 1}
ALIGNMENT = 32


def string(s):
    data = s.encode()
    return struct.pack('<Q', len(data)) + data


def value(kind, v): return string(v) if kind == 'str' else struct.pack(PACK[kind], v)


def write(path, metadata, tensors):
    """metadata: [(key, kind, value)], kind like 'u32' or '[str]'; tensors: [(name, array float32 or float16)].
    An array of shape (rows, cols) is ggml's ne = [cols, rows]: the order of the bytes is the same."""
    out = bytearray(b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(metadata)))
    for key, kind, v in metadata:
        out += string(key)
        if kind[0] == '[':
            out += struct.pack('<IIQ', 9, CODES[kind[1:-1]], len(v))
            for x in v: out += value(kind[1:-1], x)
        else: out += struct.pack('<I', CODES[kind]) + value(kind, v)
    offset = 0
    for name, a in tensors:
        out += string(name) + struct.pack('<I', a.ndim) + struct.pack(f'<{a.ndim}Q', *a.shape[::-1]) + struct.pack('<IQ', KIND[a.dtype], offset)
        offset += -(-a.nbytes // ALIGNMENT) * ALIGNMENT
    out += b'\0' * (-len(out) % ALIGNMENT)
    for _, a in tensors:
        out += np.ascontiguousarray(a).tobytes()
        out += b'\0' * (-len(out) % ALIGNMENT)
    with open(path, 'wb') as f: f.write(out)


def read(path):
    """({key: value}, {name: array})"""
    data, at = open(path, 'rb').read(), 4

    def take(fmt):
        nonlocal at
        v = struct.unpack_from(fmt, data, at)
        at += struct.calcsize(fmt)
        return v if len(v) > 1 else v[0]

    def text():
        nonlocal at
        n = take('<Q')
        at += n
        return data[at - n:at].decode()
    names = {c: k for k, c in CODES.items()}
    scalar = lambda code: text() if code == 8 else take(PACK[names[code]])
    _, count, keys = take('<IQQ')
    metadata, infos, tensors = {}, [], {}
    for _ in range(keys):
        key, code = text(), take('<I')
        if code == 9:
            inner, n = take('<IQ')
            metadata[key] = [scalar(inner) for _ in range(n)]
        else: metadata[key] = scalar(code)
    for _ in range(count):
        name, n = text(), take('<I')
        infos.append((name, [take('<Q') for _ in range(n)][::-1], take('<I'), take('<Q')))
    base = -(-at // ALIGNMENT) * ALIGNMENT
    for name, shape, kind, offset in infos:
        dtype = np.float16 if kind == 1 else np.float32
        tensors[name] = np.frombuffer(data, dtype, int(np.prod(shape)), base + offset).reshape(shape)
    return metadata, tensors
