"""pico's tokenizer: SentencePiece-style BPE with byte fallback, the algorithm of GGUF model "llama" (add_space_prefix = false).

`python3 tokenizer.py FILE` trains it on the sentences of questions.py and talk.py; `Tokenizer(FILE)` reads it.
Merges never cross words, and words in capitals are left out, so that a word read from a picture is spelt letter by letter.
"""
import collections, heapq, json, re, sys

UNK, BOS, EOS = 0, 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
USER, ASSISTANT = 'USER:', 'ASSISTANT:'
SPACE = '\u2581'
SIZE = 1600
PIECES = re.compile(r"[▁ ]?(?:'[a-z]+|[A-Za-z]+|[0-9]|[^A-Za-z0-9▁ ]+)|[▁ ]")


def train(texts, size=SIZE):
    """[(text, score, type)] from an iterable of texts."""
    words = collections.Counter()
    for text in texts:
        for w in PIECES.findall(text):
            letters = w.strip(' ')
            if len(letters) > 1 and letters.isupper() and letters.isalpha(): continue
            words[w.replace(' ', SPACE)] += 1
    chars = [SPACE] + [chr(c) for c in range(33, 127)]
    vocab = [('<unk>', 0., UNKNOWN), ('<s>', 0., CONTROL), ('</s>', 0., CONTROL)] + [(f'<0x{b:02X}>', 0., BYTE) for b in range(256)]
    vocab += [(USER, 0., USER_DEFINED), (ASSISTANT, 0., USER_DEFINED)]
    room = size - len(vocab) - len(chars)
    split, merges, known = {w: list(w) for w in words}, [], set(chars)
    while len(merges) < room:
        count = collections.Counter()
        for w, symbols in split.items():
            for pair in zip(symbols, symbols[1:]): count[pair] += words[w]
        if not count: break
        (a, b), n = max(count.items(), key=lambda x: (x[1], x[0]))
        if n < 2: break
        if a + b not in known: merges.append(a + b), known.add(a + b)
        for w, s in split.items():
            if a not in s: continue
            i, out = 0, []
            while i < len(s):
                if i + 1 < len(s) and s[i] == a and s[i + 1] == b: out.append(a + b); i += 2
                else: out.append(s[i]); i += 1
            split[w] = out
    vocab += [(m, -float(i + 1), NORMAL) for i, m in enumerate(merges)]
    vocab += [(c, -float(len(merges) + 1 + i), NORMAL) for i, c in enumerate(chars)]
    return vocab


class Tokenizer:
    def __init__(self, path):
        self.vocab = [tuple(v) for v in (json.load(open(path)) if isinstance(path, str) else path)]
        self.id = {t: i for i, (t, _, _) in enumerate(self.vocab)}
        self.score = [s for _, s, _ in self.vocab]
        self.special = re.compile('(' + '|'.join(re.escape(t) for t, _, k in self.vocab if k in (USER_DEFINED, CONTROL, UNKNOWN)) + ')')
        self.cache = {}

    def merge(self, text):
        """Token ids of a text without special tokens: repeatedly join the adjacent pair of the best score, leftmost first."""
        s = list(text)
        nxt, prv, live = list(range(1, len(s) + 1)), list(range(-1, len(s) - 1)), [True] * len(s)
        heap = []

        def offer(i, j):
            if i < 0 or j >= len(s): return
            t = self.id.get(s[i] + s[j])
            if t is not None: heapq.heappush(heap, (-self.score[t], i, j, s[i] + s[j]))
        for i in range(len(s) - 1): offer(i, i + 1)
        while heap:
            _, i, j, t = heapq.heappop(heap)
            if not (live[i] and live[j]) or nxt[i] != j or s[i] + s[j] != t: continue
            s[i], live[j], nxt[i] = t, False, nxt[j]
            if nxt[j] < len(s): prv[nxt[j]] = i
            offer(prv[i], i), offer(i, nxt[i])
        out = []
        for i, t in enumerate(s):
            if not live[i]: continue
            if t in self.id: out.append(self.id[t])
            else: out += [self.id[f'<0x{b:02X}>'] for b in t.encode()]
        return out

    def encode(self, text, bos=False):
        """As llama_tokenize with parse_special = true."""
        key = text, bos
        if key not in self.cache:
            if len(self.cache) > 200000: self.cache.clear()
            out = [BOS] if bos else []
            for part in self.special.split(text):
                if not part: continue
                if self.special.fullmatch(part): out.append(self.id[part])
                else: out += self.merge(part.replace(' ', SPACE))
            self.cache[key] = out
        return self.cache[key]

    def decode(self, ids):
        data = b''
        for i in ids:
            t, _, k = self.vocab[i]
            if k == BYTE: data += bytes([int(t[3:5], 16)])
            elif k not in (CONTROL, UNKNOWN): data += t.replace(SPACE, ' ').encode()
        return data.decode('utf-8', 'replace')


def corpus(n=40000, seed=0x70C):
    import random
    from questions import pairs
    from scenes import compose
    from talk import talk
    rng = random.Random(seed)
    for _ in range(n):
        for q, a in pairs(compose(rng), rng).values(): yield from (f'\n{q} ', f' {q} ', f' {a}')
        q, a = talk(rng)
        yield from (f' {q} ', f' {a}')


CASES = ['USER: ', "\nWhat's in this image? ASSISTANT:", '\nWhat is in the image? ASSISTANT:', ' The image features a yellow smiley face, a slightly smiling face, on a white background.</s>',
         'USER: Who are you? ASSISTANT:', 'USER: What color is it? ASSISTANT: It is red.</s>USER: How many are there? ASSISTANT:', 'The text says "HELLO".', ' The text says "WXYZQ".', '', ' ', '  ', '   two   spaces  ',
         '\n', '\n\n', 'a', 'A', 'Hello', ' Hello', 'hello world', 'HELLO WORLD', 'unfathomable', '3 plus 4 is 7.', '12345', 'I\'m fine, thanks!', "what's this", '<s>', '</s>', '<unk>', '<s>USER: hi</s>', 'USER:ASSISTANT:', 'USER: ASSISTANT:',
         'user: assistant:', '😀', 'naïve café', 'Ünïcödé ▁ x', '你好', 'tab\tand\rreturn', '<image>\nWhat is this?', '<0x41>', 'x = 1; y <= 2 && z', 'Yes, there is a dog in the image.', 'No, there are two pairs of scissors.',
         'At the top left there is a T-shirt and a t-shirt.', 'The wave is at the top center of the image.', '"quoted"', '("nested")', 'e-mail: a@b.c', 'It is small and at the middle left.', '¿Qué?', 'A chat between a curious user and an artificial intelligence assistant.  USER: hi ASSISTANT:',
         'a\nb', 'end.</s>USER: next', '....', '???!!!', 'caution: ▁▁', '\x00\x01', 'Describe the picture']

if __name__ == '__main__':
    if sys.argv[1] == '--cases':  # tokenizer-cases.json: for the test that compares with llama_tokenize
        t = Tokenizer(sys.argv[2])
        json.dump({'about': 'tokenize(text, add_special = false, parse_special = true) of pico.gguf', 'cases': [{'text': c, 'tokens': t.encode(c)} for c in CASES]}, open(sys.argv[3], 'w'), indent=1)
    else:
        vocab = train(corpus())
        json.dump(vocab, open(sys.argv[1], 'w'))
        print(len(vocab), 'tokens;', vocab[261:300])
