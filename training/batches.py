"""Turns scenes and questions into arrays for the model, in a background process."""
import multiprocessing, os, random, signal
import numpy as np
from draw import render
from model import IMAGE, ROWS
from questions import ask
from scenes import compose
from talk import talk
from tokenizer import ASSISTANT, EOS, USER

TRAIN_SEED, PROBE_SEED, EVAL_SEED = 1 << 40, 1 << 41, 1 << 42  # generators of training, of the checks during it, of the evaluation
POOL = 768  # pictures drawn at once, then sorted by length into batches


def generator(base, number):
    """Disjoint by construction: base + number, number < 2**32, is another integer for every base."""
    assert 0 <= number < 1 << 32
    return random.Random(base + number)

SYSTEM = ["A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
          'You are a helpful assistant.', 'Answer the questions.', 'You are a helpful language and vision assistant.', 'Answer briefly.', 'You are pico.']


class Row:
    """One sequence: ids with IMAGE rows, positions, segments, and which tokens are answers."""

    def __init__(self, tokenizer):
        self.t = tokenizer
        self.ids, self.positions, self.segments, self.answer, self.spans, self.pictures = [], [], [], [], [], []
        self.add([1], 0, 0)

    def add(self, ids, start, segment, answer=0):
        self.ids += ids
        self.positions += range(start, start + len(ids))
        self.segments += [segment] * len(ids)
        self.answer += [answer] * len(ids)
        return start + len(ids)

    def system(self, text):
        return self.add(self.t.encode(text + ' '), 1, 0)

    def picture(self, picture, start, segment):
        self.pictures.append(picture)
        return self.add([IMAGE] * ROWS, self.add(self.t.encode(f'{USER} '), start, segment), segment)

    def turn(self, question, answer, start, segment, family, after_picture):
        at = self.add(self.t.encode(f'\n{question} {ASSISTANT}' if after_picture else f'{USER} {question} {ASSISTANT}'), start, segment)
        self.spans.append((family, len(self.ids), len(self.ids) + len(self.t.encode(' ' + answer)) + 1))
        begin = len(self.ids)
        end = self.add(self.t.encode(' ' + answer) + [EOS], at, segment, 1)
        if family.startswith(('yesno', 'absent', 'position', 'where')): self.answer[begin] = 2  # 'Yes', 'No', 'There' or 'The': this token decides, and weighs more
        return end


def make_row(tokenizer, rng, mix, turns):
    """(Row, labels): mostly isolated turns behind one picture, sometimes one conversation, sometimes one with two pictures."""
    row, labels, r = Row(tokenizer), [], rng.random()
    first = row.system(rng.choice(SYSTEM)) if rng.random() < .06 else 1
    if r < .05:  # two pictures in one conversation
        at = first
        for _ in range(2):
            scene = compose(rng, mix=mix)
            picture, label = render(scene)
            labels.append(label)
            at = row.picture(picture, at, 2)
            for i, (f, q, a) in enumerate(ask(scene, rng, rng.randint(1, 2))): at = row.turn(q, a, at, 2, f, i == 0)
        return row, labels
    scene = compose(rng, mix=mix)
    picture, label = render(scene)
    labels.append(label)
    start = at = row.picture(picture, first, 1)
    chat = r < .25
    for i, (f, q, a) in enumerate(ask(scene, rng, turns)):
        if chat: at = row.turn(q, a, at, 2, f, i == 0)
        else: row.turn(q, a, start, 2 + i, f, True)
    if r > .75:
        at = first
        for _ in range(rng.choice((1, 1, 2))): at = row.turn(*talk(rng), at, 100, 'talk', False)
    return row, labels


def collate(rows, more=()):
    """more: further (picture, labels) for the vision transformer alone."""
    n = max(len(r.ids) for r, _ in rows)
    pad = lambda f, fill: np.array([f(r) + [fill] * (n - len(r.ids)) for r, _ in rows], np.int64)  # (rows, tokens) int64
    return dict(pictures=np.stack([p for r, _ in rows for p in r.pictures] + [p for p, _ in more]), labels=np.stack([l for _, ls in rows for l in ls] + [l for _, l in more]), ids=pad(lambda r: r.ids, EOS),
                positions=pad(lambda r: r.positions, 0), segments=pad(lambda r: r.segments, -1), answer=pad(lambda r: r.answer, 0), spans=[r.spans for r, _ in rows])


def produce(queue, base, number, vision_only, size, turns, mix, tokenizer, more, parent):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(3)
    while os.getppid() == parent:
        rng = generator(base, number)
        number += 1
        if vision_only:
            drawn = [render(compose(rng, mix=mix)) for _ in range(size)]
            queue.put((number, dict(pictures=np.stack([d[0] for d in drawn]), labels=np.stack([d[1] for d in drawn]))), timeout=600)
            continue
        rows = sorted((make_row(tokenizer, rng, mix, turns) for _ in range(POOL)), key=lambda r: len(r[0].ids))
        batches = [rows[i:i + size] for i in range(0, POOL, size)]
        rng.shuffle(batches)
        for b in batches: queue.put((number, collate(b, [render(compose(rng, mix=mix)) for _ in range(more * size)])), timeout=600)


class Batches:
    """Iterates over (number of the next generator, batch)."""

    def __init__(self, base, number, vision_only, size, turns, mix, tokenizer, more=0, ahead=16):
        self.queue = multiprocessing.Queue(ahead)
        self.process = multiprocessing.Process(target=produce, args=(self.queue, base, number, vision_only, size, turns, mix, tokenizer, more, os.getpid()), daemon=True)
        self.process.start()

    def __iter__(self):
        while True: yield self.queue.get()

    def close(self): self.process.terminate()
