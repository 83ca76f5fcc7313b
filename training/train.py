"""Trains pico. Stage 1: the vision transformer alone, told what is on every patch. Stage 2: everything, on answers.

python3 train.py RUN --vision-minutes 18 --minutes 100    starts, or goes on from RUN/checkpoint.pt
The learning rate follows the clock: warm-up, constant, then a linear fall over the last part of each stage.
"""
import argparse, collections, json, os, signal, sys, time
import numpy as np
import torch
import torch.nn.functional as F
from batches import PROBE_SEED, TRAIN_SEED, Batches, collate, generator, make_row
from model import IMAGE, ROWS, Pico, attention_mask, name_words
from optimizer import optimizers
from scenes import KINDS
from tokenizer import Tokenizer
from vocabulary import LETTERS, NUMBERS, POSITIONS


def tensors(batch): return {k: torch.from_numpy(v).long() if k != 'pictures' else torch.from_numpy(v) for k, v in batch.items() if k != 'spans'}


def forward(model, t):
    """(hidden (rows, tokens, width), features of all pictures, projected rows of those that stand in the sequences)"""
    seen = model.vision(t['pictures'])
    shown = int((t['ids'] == IMAGE).sum()) // ROWS  # pictures that stand in the rows; the others are for the dense heads only
    rows = model.project(seen[:shown])
    hidden = model.decode(model.embed(t['ids'], rows), t['positions'], attention_mask(t['segments']))
    return hidden, seen, rows


def decisive(tokenizer):
    """(vocab) float32: the words that say a number or a place, and letters read from a picture, weigh more."""
    w = torch.ones(len(tokenizer.vocab))
    for n in [*NUMBERS[1:], *' '.join(POSITIONS).split()]:
        ids = tokenizer.encode(' ' + n)
        if len(ids) == 1: w[ids[0]] = 3.
    for c in LETTERS: w[tokenizer.encode(c.upper())[0]] = 2.
    return w


def answer_loss(model, hidden, t, decisive):
    care = t['answer'][:, 1:].flatten().nonzero().squeeze(1)  # (answer tokens) int64
    target = t['ids'][:, 1:].flatten()[care]
    logits = F.linear(hidden[:, :-1].flatten(0, 1)[care], model.embedding).float()  # (answer tokens, vocab) float32
    weight = decisive[target] + t['answer'][:, 1:].flatten()[care].gt(1) * 4.  # the token that decides a yes or a no (see batches.Row.turn)
    return (F.cross_entropy(logits, target, reduction='none') * weight).sum() / len(care), logits, target


class Threads:
    """Picks one or two threads by what has been faster lately: on a machine that others use too, waiting for a second core can cost more than it gives."""

    def __init__(self, most): self.most, self.seconds, self.now, self.count = most, {n: None for n in range(1, most + 1)}, most, 0

    def before(self):
        self.count += 1
        best = min(self.seconds, key=lambda n: self.seconds[n] or 0)
        self.now = best if self.count % 40 > 2 or self.most == 1 else self.most + 1 - best
        torch.set_num_threads(self.now)

    def after(self, seconds):
        old = self.seconds[self.now]
        self.seconds[self.now] = seconds if old is None else .7 * old + .3 * seconds


@torch.no_grad()
def probe(model, tokenizer, number, rows=192):
    """Whole answers right on fresh pictures, teacher-forced, by family."""
    rng, right = generator(PROBE_SEED, number), collections.defaultdict(list)
    made = sorted((make_row(tokenizer, rng, None, 6) for _ in range(rows)), key=lambda r: len(r[0].ids))
    for i in range(0, rows, 64):
        b = collate(made[i:i + 64])
        t = tensors(b)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            hidden, *_ = forward(model, t)
            hit = F.linear(hidden[:, :-1], model.embedding).argmax(-1) == t['ids'][:, 1:]
        for j, spans in enumerate(b['spans']):
            for family, a, z in spans: right[family].append(hit[j, a - 1:z - 1].all().item())
    return {f: f'{np.mean(v):.2f}/{len(v)}' for f, v in sorted(right.items())}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('run')
    ap.add_argument('--vision-minutes', type=float, default=18)
    ap.add_argument('--minutes', type=float, default=100, help='of stage 2')
    ap.add_argument('--rows', type=int, default=64)
    ap.add_argument('--more', type=int, default=2, help='pictures for the vision transformer alone, per row of stage 2')
    ap.add_argument('--turns', type=int, default=5)
    ap.add_argument('--lr', type=float, default=2e-3)
    ap.add_argument('--decay', type=float, default=.38, help='last share of stage 2 in which the learning rate falls')
    ap.add_argument('--mix', help='JSON file: kind of picture -> share')
    ap.add_argument('--threads', type=int, default=2)
    args = ap.parse_args()
    threads = Threads(args.threads)
    torch.manual_seed(1)
    tokenizer = Tokenizer(f'{args.run}/tokenizer.json')
    mix = json.load(open(args.mix)) if args.mix else KINDS
    model = Pico(len(tokenizer.vocab))
    opts, words, heavy = optimizers(model, args.lr), name_words(tokenizer), decisive(tokenizer)
    average = {k: v.detach().clone() for k, v in model.named_parameters()}
    state = dict(stage=1, elapsed=0., step=0, number=0, pictures=0, answers=0, total=0)
    path = f'{args.run}/checkpoint.pt'
    if os.path.exists(path):
        saved = torch.load(path)
        model.load_state_dict(saved['model'])
        average, state = saved['average'], saved['state']
        for o, s in zip(opts, saved['optimizers']): o.load_state_dict(s)

    def save():
        torch.save(dict(model=model.state_dict(), average=average, state=state, optimizers=[o.state_dict() for o in opts], config=model.config), path + '.new')
        os.replace(path + '.new', path)

    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    stop = []
    log = open(f'{args.run}/log.txt', 'a')

    def say(*a):
        print(*a, flush=True), print(*a, file=log, flush=True)
    say('parameters: vision', sum(p.numel() for p in model.vision.parameters()), 'all', sum(p.numel() for p in model.parameters()), 'state', state, 'mix', mix)
    while state['stage'] < 3:
        stage = state['stage']
        budget = (args.vision_minutes if stage == 1 else args.minutes) * 60
        data = Batches(TRAIN_SEED, state['number'], stage == 1, 128 if stage == 1 else args.rows, args.turns, mix, tokenizer, args.more)
        began, before = time.time(), state['elapsed']
        last_save = last_say = time.time()
        last_probe, recent = 0. if stage == 2 and before == 0 else time.time(), collections.deque(maxlen=30)
        waited, state['number'] = 0., state['number']
        stream = iter(data)
        while state['elapsed'] < budget:
            w = time.time()
            number, batch = next(stream)
            waited += time.time() - w
            threads.before()
            step_began = time.time()
            state['elapsed'] = before + time.time() - began
            f = state['elapsed'] / budget
            decay = args.decay if stage == 2 else .3
            lr = args.lr * min(1, (state['step'] + 1) / 150) * min(1, max(.02, (1 - f) / decay) if stage == 2 else max(.3, (1 - f) / decay))
            for o in opts:
                for g in o.param_groups: g['lr'] = lr
            t = tensors(batch)
            with torch.autocast('cpu', dtype=torch.bfloat16):
                if stage == 1: dense, accuracy = model.dense_loss(model.vision(t['pictures']), t['labels'])
                else:
                    hidden, seen, rows = forward(model, t)
                    dense, accuracy = model.dense_loss(seen, t['labels'])
                    lm, logits, target = answer_loss(model, hidden, t, heavy)
                    word = model.word_loss(rows, t['labels'][:len(rows)], words)
            loss = dense if stage == 1 else lm + max(.1, .6 * (1 - 1.3 * f)) * dense + max(.05, .5 * (1 - f)) * word
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
            for o in opts: o.step(), o.zero_grad(set_to_none=True)
            state['step'] += 1
            state['pictures'] += len(t['pictures'])
            state['number'] = number
            for k, p in model.named_parameters(): average[k].lerp_(p.detach(), min(.008, 1 / (1 + state['step'] / 10)) if state['step'] > 300 else 1.)
            if stage == 2: accuracy['word'] = (logits.argmax(-1) == target).float().mean().item(); accuracy['lm'] = lm.item(); accuracy['words'] = word.item(); state['answers'] += sum(map(len, batch['spans']))
            recent.append(dict(accuracy, dense=dense.item()))
            now = time.time()
            threads.after((now - step_began) / batch['pictures'].shape[0])
            if now - last_say > 30:
                mean = {k: round(float(np.nanmean([r[k] for r in recent])), 3) for k in recent[0]}
                say(f"stage {stage} {state['elapsed'] / 60:.1f}m step {state['step']} pictures {state['pictures']} lr {lr:.1e} waited {waited / (now - began):.2f} threads {threads.now} {[round(1 / x) for x in threads.seconds.values() if x]}/s", mean)
                last_say = now
            if now - last_save > 240: save(); last_save = now
            if stop: save(); data.close(); sys.exit('stopped, checkpoint written')
            if stage == 2 and now - last_probe > 480:
                say('probe', probe(model, tokenizer, state['step']))
                last_probe = time.time()
        data.close()
        state.update(stage=stage + 1, elapsed=0., step=0 if stage == 1 else state['step'], total=state['total'] + budget)
        save()
    say('done', state, probe(model, tokenizer, 1))


if __name__ == '__main__': main()
