"""Question-answer pairs about a scene. Every answer is a full sentence and follows from the scene alone.

`ask(scene, rng)` returns [(family, question, answer)]: a few pairs of different families, yes and no in equal shares.
"""
from scenes import cell
from vocabulary import *

PICTURE = ['image', 'picture', 'image', 'picture', 'photo']
CAPTION = ["What's in this image?", 'What is in this image?', "What's in this picture?", 'What is in the picture?', 'What do you see?',
           'What can you see in this image?', "What's this?", 'What is this?', 'What does this image show?', 'What is shown in the picture?', 'What is there?',
           "What's in this?", 'Tell me what you see.', 'Caption this image.', 'What is in this photo?', "what's in this image", 'What do you see in the image?',
           'What can you see?', 'What is this a picture of?', 'What am I looking at?', 'What is depicted here?', "What's in the photo?"]
DESCRIBE = ['Describe the picture.', 'Describe this image.', 'Describe the image.', 'Please describe this picture.', 'Can you describe the image?',
            'Give me a description of the image.', 'Describe what you see.', 'Describe the image in detail.', 'Describe this picture in one sentence.']
NAME_EMOJI = ['What emoji is this?', 'Which emoji is this?', 'What emoji is it?', 'Name the emoji.', 'What is the name of this emoji?', 'Which emoji do you see?',
              'Which emoji is shown here?', 'Can you name this emoji?', 'What emoji is in the image?']
NAME = ['What object is this?', 'What is the object?', 'What thing is shown?', 'Name the object.', 'What is it?', 'What is the main object in the image?', 'What object is in the picture?',
        'What kind of object is this?', 'Can you tell me what this is?', 'Do you know what this is?']
SHAPE = ['What shape is it?', 'What shape is this?', 'Which shape is this?', 'What is the shape?', 'Name the shape.', 'What shape is in the image?', 'Which shape do you see?',
         'What shape do you see?', 'What kind of shape is this?', 'Which shape is in the picture?', 'What shape is shown here?']
COLOUR = ['What {c} is the {n}?', 'What {c} is the {n}?', 'Which {c} is the {n}?', 'What is the {c} of the {n}?', 'Which {c} does the {n} have?', 'Tell me the {c} of the {n}.']
COLOUR_IT = ['What {c} is it?', 'What {c} is this?', 'Which {c} is it?', 'What is its {c}?', 'What {c} is the object?', 'What {c} do you see?', 'Which {c} is the object?', 'What {c} is that?']
GROUND = ['What {c} is the background?', 'What is the {c} of the background?', 'Which {c} is the background?', 'What {c} does the background have?', 'What background does it have?',
          "What is the background's {c}?", 'What is the background {c}?']
COUNT = ['How many {n} are there?', 'How many {n} do you see?', 'How many {n} are in the image?', 'Count the {n}.', 'How many {n} can you see?', 'How many {n} are in this picture?',
         'What is the number of {n}?', 'How many {n} are shown?', 'Can you count the {n}?']
WHERE = ['Where is the {n}?', 'Where is the {n} in the image?', 'Where do you see the {n}?', 'In which part of the image is the {n}?', "Where's the {n}?", 'What is the position of the {n}?',
         'Where can I find the {n}?', 'Where is the {n} located?']
WHERE_IT = ['Where is it?', 'Where is the object?', 'In which part of the picture is it?', 'Where in the image is it?', 'Where is it located?']
AT = ['What is {p}?', "What's {p}?", 'What do you see {p}?', 'What object is {p}?', 'What is {p} of the image?', 'Which object is {p}?', 'What is there {p}?']
EXISTS = ['Is there {a} in the image?', 'Is there {a}?', 'Is there {a} in this picture?', 'Do you see {a}?', 'Can you see {a}?', 'Does the image show {a}?', 'Is there {a} in the photo?', 'Do you see {a} in the image?', 'Is {a} in the picture?']
READ = ['What does it say?', 'What does the text say?', 'Read the text.', 'What is written here?', 'What word is this?', 'Which word is this?', 'What is the word?', 'What is the text?',
        'What word do you see?', 'Can you read it?', 'Can you read the text?', 'What does the image say?', 'What text is in the image?', 'Read the word.', 'What is written in the image?', 'What does this say?']
HAS_TEXT = ['Is there any text in the image?', 'Is there text?', 'Does the image contain text?', 'Is there a word in the picture?', 'Do you see any text?', 'Is anything written here?']
SIZE = ['Is the {n} small or large?', 'Is it small or large?', 'How big is the {n}?', 'What size is the {n}?', 'Is the {n} big or small?', 'How large is it?']
KIND = ['What kind of thing is it?', 'What kind of thing is this?', 'What type of thing is it?', 'To which group does it belong?']


def at(p): return 'in the center' if p == 'center' else f'at the {p}'


def full_name(o): return f"{o['colour']} {o['name']}" if o['type'] == 'shape' else o['name']


def phrase(objects):
    """'a red circle, two dogs and a key' in reading order."""
    seen = {}
    for o in objects: seen[full_name(o)] = seen.get(full_name(o), 0) + 1
    parts = [article(n) if k == 1 else f'{NUMBERS[k]} {plural(n)}' for n, k in seen.items()]
    return parts[0] if len(parts) == 1 else ', '.join(parts[:-1]) + ' and ' + parts[-1]


def caption(scene, picture='image'):
    ground = f" on {article(scene['background'])} background" if scene['background'] else ''
    t, objects = scene['text'], scene['objects']
    if t: return f'The {picture} features the word "{t["word"]}" in {t["colour"]} letters{ground}.'
    if len(objects) == 1 and objects[0]['name'] in SMILING: return f"The {picture} features a yellow smiley face, {article(objects[0]['name'])},{ground}."
    return f'The {picture} features {phrase(objects)}{ground}.'


def size_of(o, scene):
    f = o['s'] / min(scene['size'])
    return 'small' if f < .38 else 'large' if f > .62 else None


def negative(scene, rng):
    """A name that is not in the scene: half of the time from the same group as something that is."""
    names = {o['name'] for o in scene['objects']}
    hard = scene['objects'] and rng.random() < .5
    while True:
        if hard:
            group = rng.choice(scene['objects'])['group']
            n = rng.choice(SHAPES if group == 'shape' else [e[1] for e in EMOJI if e[2] == group])
        else: n = rng.choice(EMOJI)[1] if rng.random() < .65 else rng.choice(SHAPES)
        if n not in names and not any(n in m or m in n for m in names) and n not in ('bird', 'fish', 'dinosaur', 'box', 'ring'): return n
        hard = hard and rng.random() < .8


def pairs(scene, rng):
    """Every family that makes sense here: {family: (question, answer)}."""
    out, objects, text, ground = {}, scene['objects'], scene['text'], scene['background']
    c = 'color' if rng.random() < .6 else 'colour'
    pic = rng.choice(PICTURE)
    pick = rng.choice
    out['caption'] = pick(CAPTION), caption(scene)
    detail = ''
    one = objects[0] if len(objects) == 1 else None
    if one:
        place, size = cell(one, scene), size_of(one, scene)
        bits = ([f'{size}'] if size else []) + ([at(POSITIONS[place])] if place is not None else [])
        if bits: detail = f" It is {' and '.join(bits)}."
    elif text: detail = f' The word has {NUMBERS[len(text["word"])]} letters.'
    elif len(objects) > 1: detail = f' There are {NUMBERS[len(objects)]} objects in total.'
    out['describe'] = pick(DESCRIBE), caption(scene) + detail
    out['background'] = pick(GROUND).format(c=c), f'The background is {ground}.'
    counts = {}
    for o in objects: counts[o['name']] = counts.get(o['name'], 0) + 1
    unique = [o for o in objects if counts[o['name']] == 1]

    if one:
        n, full = one['name'], full_name(one)
        if one['type'] == 'emoji':
            if rng.random() < .55: out['name'] = pick(NAME_EMOJI), f'This is the {n} emoji.'
            else: out['name'] = pick(NAME), f'This is {article(n)}.'
            if rng.random() < .4: out['kind'] = pick(KIND), f"It is {article(one['group'])}."
            if rng.random() < .1: out['shape'] = pick(SHAPE), f'The image features {article(n)}, not a plain shape.'
        else:
            out['shape'] = pick(SHAPE), f'The shape is {article(n)}.'
            if rng.random() < .3: out['name'] = pick(NAME), f'This is {article(full)}.'
            if rng.random() < .1: out['name'] = pick(NAME_EMOJI), f'This is not an emoji, it is {article(full)}.'
        if one['colour']:
            if rng.random() < .5: out['colour'] = pick(COLOUR_IT).format(c=c), f"It is {one['colour']}."
            else: out['colour'] = pick(COLOUR).format(c=c, n=pick([n, n, 'shape']) if one['type'] == 'shape' else n), f"The {n} is {one['colour']}."
        if size_of(one, scene): out['size'] = pick(SIZE).format(n=n), f'The {n} is {size_of(one, scene)}.'
        if place is not None: out['position'] = (pick(WHERE_IT) if rng.random() < .3 else pick(WHERE).format(n=n)), f'The {n} is {at(POSITIONS[place])} of the image.'
    elif objects:
        coloured = [o for o in unique if o['colour']]
        if coloured:
            o = pick(coloured)
            out['colour'] = pick(COLOUR).format(c=c, n=o['name']), f"The {o['name']} is {o['colour']}."
        elif len(counts) == 1 and objects[0]['colour']:
            n = plural(objects[0]['name'])
            out['colour'] = pick(COLOUR).format(c=c, n=n).replace(' is the ', ' are the ').replace(' does the ', ' do the ').replace(f'What are the {c} of', f'What is the {c} of'), f"The {n} are {objects[0]['colour']}."
        if len(counts) == 1 and objects[0]['type'] == 'shape' and rng.random() < .4: out['shape'] = pick(SHAPE), f"The shapes are {plural(objects[0]['name'])}."
        placed = [o for o in unique if cell(o, scene) is not None]
        if placed:
            o = pick(placed)
            out['position'] = pick(WHERE).format(n=o['name']), f"The {o['name']} is {at(POSITIONS[cell(o, scene)])} of the image."
            o = pick(placed)  # often another one: finding the right thing among several is the slowest skill to learn
            out['where'] = pick(WHERE).format(n=o['name']), f"The {o['name']} is {at(POSITIONS[cell(o, scene)])} of the image."
        placed = [o for o in objects if cell(o, scene) is not None]
        if len(placed) == len(objects):
            taken = {}
            for o in placed: taken.setdefault(cell(o, scene), []).append(o)
            if rng.random() < .14:
                p = pick([i for i in range(9) if i not in taken])
                out['at'] = pick(AT).format(p=at(POSITIONS[p])), f'There is nothing {at(POSITIONS[p])}.'
            else:
                p = pick([i for i in taken if len(taken[i]) == 1] or [None])
                if p is not None: out['at'] = pick(AT).format(p=at(POSITIONS[p])), f'There is {article(full_name(taken[p][0]))} {at(POSITIONS[p])}.'
    if objects:
        r = rng.random()
        total = len(objects)
        generic = pick(['objects', 'objects', 'things', 'items'])
        if len(counts) == 1:
            if objects[0]['type'] == 'shape': generic = pick([generic, 'shapes'])
            else: generic = pick([generic, 'emoji'])
        if r < .3: out['count'] = pick(COUNT).format(n=generic), f"There {'is one object' if total == 1 else f'are {NUMBERS[total]} objects'}."
        elif r < .93:
            n = pick(list(counts))
            out['count'] = pick(COUNT).format(n=plural(n)), f'There is one {n}.' if counts[n] == 1 else f'There are {NUMBERS[counts[n]]} {plural(n)}.'
        else:
            n = negative(scene, rng)
            out['count'] = pick(COUNT).format(n=plural(n)), f'There are no {plural(n)} in the image.'
        # yes or no: decided first, so that both are equally frequent within every kind of question
        for _ in range(2):
            yes, r = rng.random() < .5, rng.random()
            coloured = [o for o in unique if o['colour']]
            placed = [o for o in unique if cell(o, scene) is not None]
            if r < .27 and coloured:
                o = pick(coloured)
                asked = o['colour'] if yes else pick([x for x in COLOURS if x != o['colour']])
                out['yesno-colour'] = pick(['Is the {n} {x}?', 'Is the {n} {x} in color?', 'Does the {n} look {x}?', 'Is the color of the {n} {x}?']).format(n=o['name'], x=asked), \
                    f"Yes, the {o['name']} is {o['colour']}." if yes else f"No, the {o['name']} is {o['colour']}."
            elif r < .42 and len(counts) == 1:
                asked = total if yes else pick([x for x in range(1, 7) if x != total and abs(x - total) < 3])
                n = objects[0]['name']
                have = f'there is one {n}' if total == 1 else f'there are {NUMBERS[total]} {plural(n)}'
                q = pick(['Are there {x} {n}?', 'Do you see {x} {n}?', 'Are there exactly {x} {n} in the image?']) if asked > 1 else pick(['Is there only one {n}?', 'Is there just one {n}?', 'Is there exactly one {n}?'])
                out['yesno-count'] = q.format(x=NUMBERS[asked], n=n if asked == 1 else plural(n)), ('Yes, ' if yes else 'No, ') + have + '.'
            elif r < .6 and placed:
                o = pick(placed)
                p = cell(o, scene)
                asked = p if yes else pick([i for i in range(9) if i != p])
                out['yesno-position'] = pick(['Is the {n} {p}?', 'Is the {n} {p} of the image?']).format(n=o['name'], p=at(POSITIONS[asked])), ('Yes' if yes else 'No') + f", the {o['name']} is {at(POSITIONS[p])}."
            else:
                if yes:
                    o = pick(objects)
                    n = full_name(o) if rng.random() < .3 else o['name']
                    real = [x for x in objects if n in (full_name(x), x['name'])]
                    out['yesno'] = pick(EXISTS).format(a=article(n)), f'Yes, there is {article(n)} in the image.' if len(real) == 1 else f'Yes, there are {NUMBERS[len(real)]} {plural(n)} in the image.'
                else:
                    shapes = [o for o in objects if o['type'] == 'shape']
                    if shapes and rng.random() < .3:  # right shape, wrong colour
                        o = pick(shapes)
                        n = pick([x for x in COLOURS if all(full_name(y) != f"{x} {o['name']}" for y in objects)]) + ' ' + o['name']
                    else: n = negative(scene, rng)
                    out['yesno'] = pick(EXISTS).format(a=article(n)), f'No, there is no {n} in the image.'
        if rng.random() < .07: out['read'] = pick(READ), 'There is no text in the image.'
        if rng.random() < .05: out['yesno-text'] = pick(HAS_TEXT), 'No, there is no text in the image.'
        if rng.random() < .12:
            n = negative(scene, rng)
            out['absent'] = pick([pick(WHERE).format(n=n), pick(COLOUR).format(c=c, n=n)]), f'There is no {n} in the image.'
    if text:
        word = text['word']
        out['read'] = pick(READ), f'The text says "{word}".'
        if rng.random() < .3: out['letters'] = pick(['How many letters does it have?', 'How many letters are there?', 'How long is the word?']), f'The word has {NUMBERS[len(word)]} letters.'
        elif rng.random() < .4: out['letter'] = pick(['What is the first letter?', 'Which letter comes first?']), f'The first letter is "{word[0]}".'
        elif rng.random() < .3: out['letter'] = pick(['What is the last letter?', 'Which letter comes last?']), f'The last letter is "{word[-1]}".'
        out['colour'] = pick(['What {c} is the text?', 'What {c} is the word?', 'What {c} are the letters?', 'Which {c} is the text?', 'What is the {c} of the text?', 'What {c} is it?']).format(c=c), f"The text is {text['colour']}."
        if rng.random() < .5:
            if rng.random() < .4: out['yesno-text'] = pick(HAS_TEXT), 'Yes, there is text in the image.'
            else:
                n = negative(scene, rng)
                out['yesno'] = pick(EXISTS).format(a=article(n)), f'No, there is no {n} in the image.'
        elif rng.random() < .6:
            yes = rng.random() < .65
            asked = text['colour'] if yes else pick([x for x in COLOURS if x != text['colour']])
            out['yesno-colour'] = pick(['Is the text {x}?', 'Is the word {x}?', 'Are the letters {x}?']).format(x=asked), f"{'Yes' if yes else 'No'}, the text is {text['colour']}."
        if rng.random() < .05: out['count'] = pick(COUNT).format(n=pick(['words'])), 'There is one word.'
        if rng.random() < .1: out['name'] = pick(NAME + NAME_EMOJI), f'This is the word "{word}".'
    return out


WEIGHT = {'caption': 1.1, 'describe': .3, 'background': .2, 'name': 1., 'shape': .8, 'colour': .9, 'size': .2, 'kind': .4, 'position': 3.5, 'where': 3.5, 'at': 2., 'count': 1.7,
          'yesno': 2.2, 'yesno-colour': 2.4, 'yesno-count': 1.4, 'yesno-position': 3.5, 'yesno-text': .7, 'read': 2.6, 'letters': .6, 'letter': .7, 'absent': 1.5}


def careless(question, rng):
    """People do not always type capitals and question marks."""
    r = rng.random()
    if r < .06: return question.lower()
    if r < .12: return question.rstrip('?.').lower()
    if r < .15: return question.rstrip('?.')
    return question


def ask(scene, rng, n):
    """n pairs of different families, drawn by weight: [(family, question, answer)]."""
    every = pairs(scene, rng)
    families = sorted(every, key=lambda f: rng.random() ** (1 / WEIGHT[f]), reverse=True)[:n]
    return [(f, careless(every[f][0], rng), every[f][1]) for f in families]
