"""Draws a scene and brings it to the model's input exactly as the runtime does: pad to a square, bicubic to 128."""
import functools, io, math, random
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from vocabulary import *

SIDE, PATCH, GRID = 128, 16, 8
EMOJI_FONT = '/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf'
TEXT_FONTS = ['DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSans-Oblique', 'DejaVuSansCondensed', 'DejaVuSansCondensed-Bold', 'DejaVuSansMono',
              'DejaVuSansMono-Bold', 'DejaVuSerif', 'DejaVuSerif-Bold', 'DejaVuSerif-Italic', 'DejaVuSerifCondensed', 'DejaVuSans-Bold']
OBJECT_CLASSES = 1 + len(EMOJI) + len(SHAPES) + len(LETTERS)  # nothing, emoji, shapes, letters
IGNORE = -100


@functools.lru_cache(None)
def emoji_sprite(index, half):
    font = ImageFont.truetype(EMOJI_FONT, 109)
    im = Image.new('RGBA', (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(im).text((12, 12), EMOJI[index][0], font=font, embedded_color=True)
    im = im.crop(im.getbbox())
    side = max(im.size)
    square = Image.new('RGBA', (side, side), (0, 0, 0, 0))
    square.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
    return square.resize((side // 2, side // 2), Image.BOX) if half else square


@functools.lru_cache(None)
def shape_mask(index):
    k, name = 400, SHAPES[index]
    im = Image.new('L', (k, k), 0)
    d, c = ImageDraw.Draw(im), k / 2
    turn = lambda n, radius, offset=0: [(c + radius(i) * math.sin((i + offset) * 2 * math.pi / n), c - radius(i) * math.cos((i + offset) * 2 * math.pi / n)) for i in range(n)]
    if name == 'circle': d.ellipse((0, 0, k - 1, k - 1), fill=255)
    elif name == 'square': d.rectangle((12, 12, k - 12, k - 12), fill=255)
    elif name == 'rectangle': d.rectangle((0, k * .24, k, k * .76), fill=255)
    elif name == 'oval': d.ellipse((0, k * .2, k - 1, k * .8), fill=255)
    elif name == 'triangle': d.polygon([(c, 10), (k, k * .93), (0, k * .93)], fill=255)
    elif name == 'diamond': d.polygon([(c, 0), (k * .86, c), (c, k), (k * .14, c)], fill=255)
    elif name == 'star': d.polygon(turn(10, lambda i: c if i % 2 == 0 else c * .42), fill=255)
    elif name == 'pentagon': d.polygon(turn(5, lambda i: c), fill=255)
    elif name == 'cross': d.rectangle((k * .34, 0, k * .66, k), fill=255), d.rectangle((0, k * .34, k, k * .66), fill=255)
    else:
        t = np.linspace(0, 2 * math.pi, 120)
        x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        d.polygon([(c + a * c / 17, c - (b + 2) * c / 17) for a, b in zip(x, y)], fill=255)
    return im.resize((200, 200), Image.BOX)


@functools.lru_cache(None)
def text_font(index, pixels):
    return ImageFont.truetype(TEXT_FONTS[index] + '.ttf', pixels)


def tint(rng, colour, by=16):
    return tuple(min(255, max(0, v + rng.randint(-by, by))) for v in COLOURS[colour])


def draw_background(scene, rng):
    w, h = scene['size']
    a = tint(rng, scene['background'], 12)
    if scene['style'] == 'plain': return Image.new('RGB', (w, h), a)
    if scene['style'] == 'noise':
        n = np.random.default_rng(scene['look']['seed']).integers(-22, 23, (h // 2 + 1, w // 2 + 1, 1), np.int16).repeat(2, 0).repeat(2, 1)[:h, :w]  # (rows, cols, 1) int16
        return Image.fromarray(np.clip(np.array(a, np.int16) + n, 0, 255).astype(np.uint8))
    b = tuple(int(v * .82) if sum(a) > 380 else min(255, int(v * .82 + 34)) for v in a)
    im = Image.new('RGB', (2, 2))
    im.putdata([a, a, b, b] if rng.random() < .5 else [a, b, a, b])
    return im.resize((w, h), Image.BILINEAR)


def render(scene):
    """(picture, labels): picture (128, 128, 3) uint8 as the model gets it; labels (5, patches) int16, see below."""
    canvas, labels = paint(scene)
    return preprocess(canvas), labels


def paint(scene):
    """The picture in its own size, and what is on every patch of the model's view of it."""
    rng = random.Random(scene['look']['seed'])
    w, h = scene['size']
    side = max(w, h)
    k, dx, dy = SIDE / side, (side - w) / 2, (side - h) / 2  # canvas -> model input
    im = draw_background(scene, rng)
    thing = np.zeros((GRID, GRID), np.int16)  # (8, 8) class of what covers the patch
    colour = np.full((GRID, GRID), IGNORE, np.int16)  # (8, 8) colour class
    left, right, centre = (np.zeros((GRID, GRID), np.int16) for _ in range(3))  # letters centred in either half; object centres
    names = list(COLOURS)
    y0, y1, x0, x1 = dy * k, SIDE - dy * k, dx * k, SIDE - dx * k
    colour[math.ceil(y0 / PATCH):int(y1 / PATCH), math.ceil(x0 / PATCH):int(x1 / PATCH)] = names.index(scene['background'])

    def cover(cx, cy, sx, sy, cls, col):  # a box in canvas pixels: label the patches it covers more than about half
        a, b = (cx + dx) * k / PATCH, (cy + dy) * k / PATCH
        u, v = sx * k / PATCH / 2, sy * k / PATCH / 2
        xs = slice(max(0, min(int(a), round(a - u))), max(int(a) + 1, round(a + u)))
        ys = slice(max(0, min(int(b), round(b - v))), max(int(b) + 1, round(b + v)))
        thing[ys, xs], colour[ys, xs] = cls, col
        return min(7, int(b)), min(7, int(a)), a - int(a)

    for o in scene['objects']:
        n = max(8, int(round(o['s'])))
        if o['type'] == 'emoji':
            g = emoji_sprite(o['index'], n < 60)
            if o['angle']: g = g.rotate(o['angle'], Image.BILINEAR, expand=True)
            g = g.resize((n, n), Image.BICUBIC if n > 70 else Image.BILINEAR)
            mask, ink, cls = g, g, 1 + o['index']
        else:
            mask = shape_mask(o['index'])
            if o['angle']: mask = mask.rotate(o['angle'], Image.BILINEAR, expand=o['name'] not in ('circle', 'oval', 'star'))
            mask, ink, cls = mask.resize((n, n), Image.BILINEAR), tint(rng, o['colour']), 1 + len(EMOJI) + o['index']
        x, y = int(round(o['x'] - n / 2)), int(round(o['y'] - n / 2))
        im.paste(ink, (x, y, x + n, y + n), mask)
        r, c, _ = cover(o['x'], o['y'], n * .8, n * .8, cls, names.index(o['colour']) if o['colour'] else IGNORE)
        centre[r, c] = 1
    t = scene['text']
    if t:
        base = text_font(t['font'], 40)
        want = t['width'] * w
        pixels = int(min(40 * want / base.getlength(t['shown']), h * .8))
        font = text_font(t['font'], max(9, pixels))
        box = font.getbbox(t['shown'])
        tw, th = box[2] - box[0], box[3] - box[1]
        x, y = t['u'] * max(0, w - tw), t['v'] * max(0, h - th)
        x, y = int(x) - box[0], int(y) - box[1]
        ImageDraw.Draw(im).text((x, y), t['shown'], font=font, fill=tint(rng, t['colour']))
        at, mid, run = x, y + (box[1] + box[3]) / 2, ''
        t['pitch'] = tw / len(t['shown']) * k  # pixels of model input per letter
        t['x'], t['y'] = x + (box[0] + box[2]) / 2, mid
        for letter in t['shown']:
            run += letter
            to = x + font.getlength(run)
            cls = LETTERS.index(letter.lower())
            r, c, f = cover((at + to) / 2, mid, to - at, th, 1 + len(EMOJI) + len(SHAPES) + cls, names.index(t['colour']))
            (left if f < .5 else right)[r, c] = 1 + cls
            at = to
    look = scene['look']
    if look['light']:
        im = ImageEnhance.Brightness(im).enhance(rng.uniform(.85, 1.12))
        im = ImageEnhance.Contrast(im).enhance(rng.uniform(.85, 1.12))
    if look['blur']: im = im.filter(ImageFilter.GaussianBlur(rng.uniform(.3, .8) * side / 128))
    if look['jpeg']:
        f = io.BytesIO()
        im.save(f, 'JPEG', quality=rng.randint(45, 95))
        im = Image.open(f).convert('RGB')
    return im, np.stack([thing, colour, left, right, centre]).reshape(5, GRID * GRID)  # (5, patches) int16


def preprocess(im):
    """LLaVA 1.5: pad to a square with int(mean * 255) = 127, then antialiased bicubic. -> (128, 128, 3) uint8"""
    w, h = im.size
    if w != h:
        square = Image.new('RGB', (max(w, h),) * 2, (127, 127, 127))
        square.paste(im, ((max(w, h) - w) // 2, (max(w, h) - h) // 2))
        im = square
    if im.size != (SIDE, SIDE): im = im.resize((SIDE, SIDE), Image.BICUBIC)
    return np.asarray(im, np.uint8)


if __name__ == '__main__':  # a sheet to look at, and the time a picture takes
    import sys, time
    from scenes import compose
    rng = random.Random(5)
    sheet = Image.new('RGB', (130 * 12, 130 * 8))
    scenes = [compose(rng) for _ in range(96)]
    for i, s in enumerate(scenes): sheet.paste(Image.fromarray(render(s)[0]), (i % 12 * 130, i // 12 * 130))
    sheet.save(sys.argv[1] if len(sys.argv) > 1 else 'sheet.png')
    t = time.time()
    for _ in range(1000): render(compose(rng))
    print('ms per picture', time.time() - t)
