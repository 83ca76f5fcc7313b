"""Makes the frozen evaluation set: 600 pictures, one question each -> eval/*.png and eval/questions.jsonl.

Its generators start from EVAL_SEED, training's from TRAIN_SEED (see batches.generator): no seed is shared. Half of the words to read
are from the tenth of all letter strings that training never draws (vocabulary.held_out); these have "unseen": true.
The files in eval/ are the set: they were made once, before training; scenes.py and questions.py have changed since, so that running this
again would give other pictures.
"""
import collections, json, os, sys
from batches import EVAL_SEED, generator
from draw import paint
from questions import article, at, full_name, pairs
from scenes import cell, compose
from vocabulary import *

TASKS = {'naming': 150, 'colour': 80, 'shape': 70, 'count': 90, 'position': 80, 'yesno': 80, 'reading': 50}
UNSEEN = [w for w in WORDS if held_out(w)]


def size(rng):
    side = rng.choice((96, 112, 128, 128, 144, 160, 192, 224, 256))
    if rng.random() < .12: return (side, int(side * rng.uniform(.65, .95))) if rng.random() < .5 else (int(side * rng.uniform(.65, .95)), side)
    return side, side


def names_of(name):
    cldr_name = next(cldr()[0].get(c.replace('\ufe0f', ''), n) for c, n, g in EMOJI if n == name)
    return sorted({name.lower(), cldr_name.lower(), *ALIASES.get(name, [])})


def item(task, i, rng, used):
    """(scene, question, accept, extra) or None to try again"""
    dims = size(rng)
    if task == 'naming':
        scene = compose(rng, 'emoji', size=dims)
        o = scene['objects'][0]
        q = pairs(scene, rng)
        if o['name'] in used or 'name' not in q: return None
        used.add(o['name'])
        return scene, q['name' if rng.random() < .6 else 'caption'][0], names_of(o['name']), {}
    if task == 'colour':
        scene = compose(rng, rng.choice(['shape', 'shape', 'different', 'same']), size=dims)
        q = pairs(scene, rng).get('colour' if rng.random() < .8 else 'background')
        return q and (scene, q[0], [next(c for c in COLOURS if f' {c}.' in q[1])], {'reject': [c for c in COLOURS if f' {c}.' not in q[1]]})
    if task == 'shape':
        scene = compose(rng, 'shape', size=dims)
        n = scene['objects'][0]['name']
        return scene, pairs(scene, rng)['shape'][0], [n], {'reject': [s for s in SHAPES if s != n]}
    if task == 'count':
        n = i % 4 + 1
        scene = compose(rng, rng.choice(['same', 'same', 'same', 'different']), size=dims)
        q = pairs(scene, rng).get('count')
        total = len(scene['objects'])
        if not q or total != n and scene['kind'] == 'same': return None
        want = next((k for k, w in enumerate(NUMBERS) if f' {w} ' in q[1]), 0)
        return (scene, q[0], [NUMBERS[n], str(n)], {'reject': [w for w in NUMBERS if w != NUMBERS[n]]}) if want == n else None
    if task == 'position':
        scene = compose(rng, rng.choice(['emoji', 'shape', 'different', 'different']), size=dims)
        every = pairs(scene, rng)
        if rng.random() < .7 or 'at' not in every:
            q = every.get('position')
            p = q and next(p for p in sorted(POSITIONS, key=len, reverse=True) if f'{p} of the image' in q[1])
            return q and ' it' not in q[0] and (scene, q[0], [p], {'reject': ['top center', 'bottom center']} if p == 'center' else {}) or None
        q = every['at']
        o = [o for o in scene['objects'] if f'There is {article(full_name(o))} {"in the" if "in the center" in q[1] else "at the"}' in q[1]]
        return o and (scene, q[0], [o[0]['name'].lower()] if o[0]['type'] == 'shape' else names_of(o[0]['name']), {}) or None
    if task == 'yesno':
        want = ('yes', 'no')[i % 2]
        scene = compose(rng, size=dims)
        every = {k: v for k, v in pairs(scene, rng).items() if k.startswith('yesno') and k != 'yesno-text'}
        for q, a in every.values():
            if a.lower().startswith(want): return scene, q, [want], {'reject': ['yes' if want == 'no' else 'no']}
        return None
    unseen = i % 2 == 0
    scene = compose(rng, 'word', size=dims, words=UNSEEN if unseen else TRAIN_WORDS, allow_word=lambda w: w in (UNSEEN if unseen else TRAIN_WORDS))
    w = scene['text']['word'].lower()
    if w in used: return None
    used.add(w)
    return scene, pairs(scene, rng)['read'][0], [w], {'unseen': unseen}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    number, used = 0, set()
    with open(f'{folder}/questions.jsonl', 'w') as f:
        for task, n in TASKS.items():
            for i in range(n):
                made = None
                while not made:
                    made = item(task, i, generator(EVAL_SEED, number), used)
                    number += 1
                scene, question, accept, extra = made
                name = f'{task}-{i:03d}'
                paint(scene)[0].save(f'{folder}/{name}.png', optimize=True)
                f.write(json.dumps(dict(id=name, image=f'{name}.png', task=task, question=question, accept=accept, **extra), ensure_ascii=False) + '\n')


if __name__ == '__main__': main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), 'eval'))
