"""Draws the pictures in examples/: python3 make_examples.py FOLDER"""
import sys
from PIL import Image, ImageDraw
from draw import emoji_sprite, shape_mask, text_font
from vocabulary import *

index = {n: i for i, (_, n, _) in enumerate(EMOJI)}


def emoji(im, name, x, y, size):
    g = emoji_sprite(index[name], False).resize((size, size), Image.BICUBIC)
    im.paste(g, (x - size // 2, y - size // 2), g)


def shape(im, name, colour, x, y, size):
    im.paste(COLOURS[colour], (x - size // 2, y - size // 2), shape_mask(SHAPES.index(name)).resize((size, size), Image.BICUBIC))


def canvas(colour='white', width=384, height=384): return Image.new('RGB', (width, height), COLOURS[colour] if colour != 'white' else (255, 255, 255))


folder = sys.argv[1]
im = canvas(width=512, height=512)
emoji(im, 'slightly smiling face', 256, 256, 464)
im.quantize(160, dither=Image.Dither.NONE).save(f'{folder}/smile.png', optimize=True)
im = canvas('yellow')
shape(im, 'circle', 'red', 192, 192, 200)
im.save(f'{folder}/red-circle.png', optimize=True)
im = canvas()
emoji(im, 'dog', 72, 72, 110), emoji(im, 'banana', 312, 312, 110)
im.save(f'{folder}/two-objects.png', optimize=True)
im = canvas()
for x, y in ((80, 90), (270, 110), (180, 290)): shape(im, 'star', 'blue', x, y, 110)
im.save(f'{folder}/three-stars.png', optimize=True)
im = canvas()
ImageDraw.Draw(im).text((38, 140), 'HELLO', font=text_font(1, 84), fill=COLOURS['blue'])
im.save(f'{folder}/word.png', optimize=True)
im = canvas(width=640, height=400)
emoji(im, 'dog', 220, 200, 150), emoji(im, 'banana', 420, 200, 150)
exif = Image.Exif()
exif[0x0112] = 6  # as a camera that was held on its side: turn by 90 degrees to look at it
im.transpose(Image.Transpose.ROTATE_90).save(f'{folder}/sideways.jpg', quality=90, exif=exif)
