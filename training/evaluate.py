"""Answers the evaluation set with an exported pair, greedily, in PyTorch float32; again with the pictures blanked.

python3 evaluate.py [FOLDER] [--eval FOLDER] [--show]
"""
import argparse, collections, json, os, re
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from draw import SIDE, preprocess
from export import load
from model import IMAGE, ROWS, attention_mask
from tokenizer import ASSISTANT, EOS, USER

HERE = os.path.dirname(os.path.abspath(__file__))


@torch.no_grad()
def answer(model, tokenizer, pictures, prompts, limit=64):
    """Greedy answers to prompts (lists of ids, IMAGE rows included) of equal length. pictures (n, rows, cols, 3) uint8, in reading order, or None."""
    ids = torch.tensor(prompts)  # (prompts, tokens) int64
    rows = None if pictures is None else model.project(model.vision(torch.from_numpy(pictures)))
    n, length = ids.shape
    caches = [{} for _ in model.blocks]
    mask = torch.zeros(length, length).masked_fill_(~torch.ones(length, length, dtype=torch.bool).tril(), -30000.)[None, None]
    hidden = model.decode(model.embed(ids, rows), torch.arange(length).expand(n, -1), mask, caches)[:, -1:]
    out, done = [[] for _ in range(n)], [False] * n
    for step in range(limit):
        token = F.linear(hidden[:, -1], model.embedding).argmax(-1)  # (prompts) int64
        for j, t in enumerate(token.tolist()):
            done[j] = done[j] or t == EOS
            if not done[j]: out[j].append(t)
        if all(done): break
        hidden = model.decode(model.embed(token[:, None], None), torch.full((n, 1), length + step), torch.zeros(1, 1, 1, 1), caches)
    return [tokenizer.decode(o).strip() for o in out]


def prompt(tokenizer, question, picture=True):
    if not picture: return tokenizer.encode(f'{USER} {question} {ASSISTANT}', bos=True)
    return tokenizer.encode(f'{USER} ', bos=True) + [IMAGE] * ROWS + tokenizer.encode(f'\n{question} {ASSISTANT}')


def whole_word(text, word): return re.search(r'(?<!\w)' + re.escape(word) + r'(?!\w)', text) is not None


def right(item, text):
    text = text.lower()
    return any(whole_word(text, a) for a in item['accept']) and not any(whole_word(text, r) for r in item.get('reject', []))


def run(model, tokenizer, items, folder, blank=False):
    """{id: answer}"""
    groups, answers = collections.defaultdict(list), {}
    for it in items: groups[len(prompt(tokenizer, it['question']))].append(it)
    for group in groups.values():
        for i in range(0, len(group), 50):
            part = group[i:i + 50]
            pictures = np.stack([np.full((SIDE, SIDE, 3), 127, np.uint8) if blank else preprocess(Image.open(f"{folder}/{it['image']}").convert('RGB')) for it in part])
            answers.update(zip([it['id'] for it in part], answer(model, tokenizer, pictures, [prompt(tokenizer, it['question']) for it in part])))
    return answers


def score(items, answers):
    """{task: (right, of)}"""
    table = collections.defaultdict(lambda: [0, 0])
    for it in items:
        keys = [it['task'], 'all'] + (['reading, unseen words'] if it.get('unseen') else [])
        for k in keys: table[k][0] += right(it, answers[it['id']]); table[k][1] += 1
    return table


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('folder', nargs='?', default=f'{HERE}/../models/pico')
    ap.add_argument('--eval', default=f'{HERE}/eval')
    ap.add_argument('--show', action='store_true')
    args = ap.parse_args()
    torch.set_num_threads(2)
    model, tokenizer = load(args.folder)
    items = [json.loads(line) for line in open(f'{args.eval}/questions.jsonl')]
    seen, blind = run(model, tokenizer, items, args.eval), run(model, tokenizer, items, args.eval, blank=True)
    a, b = score(items, seen), score(items, blind)
    for task in a: print(f'{task:24} {a[task][0]:4}/{a[task][1]:<4} {a[task][0] / a[task][1]:6.1%}   blanked {b[task][0] / b[task][1]:6.1%}')
    yes = [seen[i['id']].lower().startswith('yes') for i in items if i['task'] == 'yesno']
    print(f'yes said {np.mean(yes):.1%} of the time')
    if args.show:
        for it in items:
            if not right(it, seen[it['id']]): print(it['id'], '|', it['question'], '|', seen[it['id']], '| accept', it['accept'])
