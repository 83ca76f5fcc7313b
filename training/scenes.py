"""What is on a picture, as plain data: composed from a random generator, before anything is drawn.

A scene is a dict: kind, size (width, height), background (colour name or None), style, objects, text, look.
Lengths of objects are in pixels of the canvas; x, y is the centre of an object.
"""
import math
from vocabulary import *

KINDS = {'emoji': .24, 'shape': .07, 'same': .16, 'different': .26, 'word': .27}  # share of each kind of picture

OFTEN = [i for i, (_, n, _) in enumerate(EMOJI) if n in SMILING]  # the faces everybody tries first


def luminance(colour):
    r, g, b = COLOURS[colour]
    return .3 * r + .59 * g + .11 * b


def new_object(rng, kind=None, avoid=None, names=()):
    """An emoji or a shape whose name is none of `names` and whose colour is not the background's."""
    while True:
        if (kind or ('emoji' if rng.random() < .55 else 'shape')) == 'emoji':
            i = rng.randrange(len(EMOJI)) if rng.random() < .95 else rng.choice(OFTEN)
            o = dict(type='emoji', index=i, name=EMOJI[i][1], group=EMOJI[i][2], colour=EMOJI_COLOUR.get(EMOJI[i][0]))
        else:
            i = rng.randrange(len(SHAPES))
            o = dict(type='shape', index=i, name=SHAPES[i], group='shape', colour=rng.choice([c for c in COLOURS if c != avoid]))
        if o['name'] not in names: return o


def place_freely(rng, n, width, height, lo, hi):
    """n sizes and centres that do not touch, anywhere on the canvas; None if it did not work out."""
    done = []
    for _ in range(60):
        s = rng.uniform(lo, hi) * min(width, height)
        x, y = rng.uniform(s / 2, width - s / 2), rng.uniform(s / 2, height - s / 2)
        if all(max(abs(x - u), abs(y - v)) > (s + t) / 2 + 2 for u, v, t in done): done.append((x, y, s))
        if len(done) == n: return done
    return None


def place_in_cells(rng, n, width, height):
    cells, done = rng.sample(range(9), n), []
    for c in cells:
        s = rng.uniform(.2, .3) * min(width, height)
        jx, jy = rng.uniform(-.035, .035) * width, rng.uniform(-.035, .035) * height
        done.append(((c % 3 + .5) * width / 3 + jx, (c // 3 + .5) * height / 3 + jy, s))
    return done


def compose(rng, kind=None, mix=None, size=None, words=TRAIN_WORDS, allow_word=lambda w: not held_out(w)):
    mix = mix or KINDS
    kind = kind or rng.choices(list(mix), list(mix.values()))[0]
    if size is None:
        r, side = rng.random(), rng.choice((96, 112, 144, 160, 192, 224, 256))
        size = (128, 128) if r < .62 else (side, side) if r < .84 else (side, int(side * rng.uniform(.6, .95))) if r < .92 else (int(side * rng.uniform(.6, .95)), side)
    width, height = size
    side = min(size)
    background = 'white' if rng.random() < .4 else rng.choice(list(COLOURS))
    style = rng.choices(('plain', 'gradient', 'noise'), (.66, .2, .14))[0]
    scene = dict(kind=kind, size=size, background=background, style=style, objects=[], text=None)
    if kind in ('emoji', 'shape'):
        o = new_object(rng, kind, background)
        fraction = rng.uniform(.9, 1.) if rng.random() < .15 else rng.uniform(.25, .95)
        s = fraction * side
        if rng.random() < .35 and s < .55 * side:  # clearly inside one of nine cells
            c, m = rng.randrange(9), .25 * (1 / 3)
            o['x'] = min(max((c % 3 + .5) * width / 3 + rng.uniform(-m, m) * width, s / 2), width - s / 2)
            o['y'] = min(max((c // 3 + .5) * height / 3 + rng.uniform(-m, m) * height, s / 2), height - s / 2)
        else: o['x'], o['y'] = rng.uniform(s / 2, width - s / 2), rng.uniform(s / 2, height - s / 2)
        o['s'] = s
        if fraction >= .9 and rng.random() < .5: scene.update(background='white', style='plain')
        if o['colour'] == scene['background'] and o['type'] == 'shape': o['colour'] = 'red'
        scene['objects'] = [o]
    elif kind == 'same':
        n = rng.choices((1, 2, 3, 4, 5, 6), (.08, .23, .24, .24, .12, .09))[0]
        first = new_object(rng, avoid=background)
        hi = (.5, .45, .38, .36, .28, .26)[n - 1]
        places = (rng.random() < .6 and place_freely(rng, n, width, height, .17, hi)) or place_in_cells(rng, n, width, height)
        for x, y, s in places: scene['objects'].append(dict(first, x=x, y=y, s=s))
    elif kind == 'different':
        n = rng.choices((2, 3, 4), (.45, .33, .22))[0]
        only = rng.choice((None, None, 'shape', 'emoji'))
        places = (rng.random() < .25 and place_freely(rng, n, width, height, .22, .42)) or place_in_cells(rng, n, width, height)
        for x, y, s in places:
            names = [p['name'] for p in scene['objects']]
            scene['objects'].append(dict(new_object(rng, only, background, () if rng.random() < .1 else names), x=x, y=y, s=max(s, .22 * side)))
    else:
        while True:
            if rng.random() < .5: word = rng.choice(words)
            else: word = ''.join(rng.choice(LETTERS) for _ in range(rng.randint(2, 6)))
            if allow_word(word): break
        shown = word.upper() if rng.random() < .72 else word.lower() if rng.random() < .5 else word.capitalize()
        colour = rng.choice([c for c in COLOURS if abs(luminance(c) - luminance(background)) > 75])
        scene['text'] = dict(word=word.upper(), shown=shown, colour=colour, font=rng.randrange(12), width=rng.uniform(max(.3, .085 * len(word)), .94))
        scene['text'].update(u=rng.random(), v=rng.random())  # where in the free room
    for o in scene['objects']:
        o['angle'] = 0 if rng.random() < .7 else rng.uniform(-15, 15)
        if o['name'] in ('square', 'diamond', 'rectangle', 'cross', 'oval') and o['type'] == 'shape': o['angle'] *= .5
    scene['look'] = dict(seed=rng.getrandbits(32), light=rng.random() < .4, jpeg=rng.random() < .15, blur=rng.random() < .1)
    scene['objects'].sort(key=lambda o: (cell(o, scene) if cell(o, scene) is not None else int(o['y'] * 3 / height) * 3 + int(o['x'] * 3 / width)))
    return scene


def cell(o, scene, margin=.035):
    """0..8 for the ninth of the picture that holds the object's centre; None when the centre is near a border between ninths,
    or when the padded square and the picture itself disagree."""
    w, h = scene['size']
    side = max(w, h)
    found = set()
    for fx, fy in ((o['x'] / w, o['y'] / h), ((o['x'] + (side - w) / 2) / side, (o['y'] + (side - h) / 2) / side)):
        for f in (fx, fy):
            if min(abs(f - 1 / 3), abs(f - 2 / 3)) < margin: return None
        found.add(int(fy * 3) * 3 + int(fx * 3))
    return found.pop() if len(found) == 1 else None
