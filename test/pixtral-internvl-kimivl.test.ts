import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../bench/test-picture.ts";
import { openImageEncoder } from "../src/encoders/open-image-encoder.ts";
import { readGguf } from "../src/gguf/read.ts";
import { type Message, type Model, type Part, type StreamPart, load } from "../src/index.ts";
import type { RgbImage } from "../src/media/rgb-image.ts";
import { Backend } from "../src/native/backend.ts";
import { loadLibraries } from "../src/native/libraries.ts";
import { drawnPicture } from "./support/drawn-picture.ts";
import { type MtmdFigures, type MtmdInput, keptValues, mtmdFigures } from "./support/mtmd-figures.ts";
import { temporaryFolder } from "./support/tiny-models.ts";
import { writeTinyKimiVl } from "./support/tiny-kimivl.ts";
import { writeTinyInternVl } from "./support/tiny-internvl.ts";
import { TINY_MISTRAL3, writeTinyPixtral } from "./support/tiny-pixtral.ts";

const folder = temporaryFolder();
const FIGURES = new URL("../src/encoders/fixtures/mtmd-pixtral-internvl-kimivl.json", import.meta.url);

interface Files {
  model: string;
  projector: string;
}

interface Family {
  write: (base: string) => Promise<Files>;
  /** For llama.cpp, where it reads the same file in another way. */
  writeForPeer?: (base: string) => Promise<Files>;
  /** What goes before a picture in the prompt for llama.cpp. */
  peerPrompt?: string;
  /** What stands between a picture and the text after it. */
  separator: string;
}

/** Of seeds 1 to 7, all but two give 16 tokens without an end of text or two tokens that are as good as equal. */
const TEXT = { seed: 2 };

const FAMILIES = {
  pixtral: { write: async (base) => writeTinyPixtral(base, {}, TEXT), separator: "" },
  mistral3: { write: async (base) => writeTinyPixtral(base, TINY_MISTRAL3, TEXT), separator: "" },
  internvl: {
    write: async (base) => writeTinyInternVl(base),
    writeForPeer: async (base) => writeTinyInternVl(base, { classPositionLast: true }),
    separator: "\n",
  },
  kimivl: {
    write: async (base) => writeTinyKimiVl(base, {}, { contextLength: 2048 }),
    // llama.cpp writes `<|media_start|>` where the model has `<|media_start|>image<|media_content|>`: with these two
    // names exchanged, and the rest of it in the prompt, the text model reads the same.
    writeForPeer: async (base) =>
      writeTinyKimiVl(
        base,
        { splitRope: true },
        { controlTokens: ["<|media_content|>", "<|media_start|>", "<|media_pad|>", "<|media_end|>"] },
      ),
    peerPrompt: "<|media_content|>image",
    separator: "",
  },
} satisfies Record<string, Family>;

type FamilyName = keyof typeof FAMILIES;

/**
 * Pictures that llama.cpp does not resize: it limits Pixtral's to 1024 rows, rounds their sides where the model's own
 * code takes the next whole patch, and adds bars; it cuts into tiles only what is larger than one; its bicubic filter is
 * not antialiased. Kimi-VL's has the shape of the learned positions, which llama.cpp stretches by another filter.
 */
const CASES: {
  name: string;
  family: FamilyName;
  width: number;
  height: number;
  same: "all" | "tiles";
}[] = [
  { name: "Pixtral 12B", family: "pixtral", width: 96, height: 64, same: "all" },
  { name: "Pixtral 12B, a column", family: "pixtral", width: 8, height: 96, same: "all" },
  { name: "Mistral Small 3.1", family: "mistral3", width: 112, height: 80, same: "all" },
  { name: "InternVL, one tile", family: "internvl", width: 32, height: 32, same: "all" },
  { name: "InternVL, six tiles", family: "internvl", width: 96, height: 64, same: "tiles" },
  { name: "Kimi-VL", family: "kimivl", width: 64, height: 64, same: "all" },
];

let files: Record<FamilyName, Files>;
beforeAll(async () => {
  const entries = Object.entries(FAMILIES).map(
    async ([name, { write }]) => [name, await write(join(folder.path, name))] as const,
  );
  files = Object.fromEntries(await Promise.all(entries)) as Record<FamilyName, Files>;
});

const png = ({ width, height, data }: RgbImage): Uint8Array =>
  encodePng(width, height, (x, y) => [0, 1, 2].map((channel) => data[(y * width + x) * 3 + channel] ?? 0));
const text = (words: string): Part => ({ type: "text", text: words });
const image = (picture: RgbImage): Part => ({ type: "image", image: png(picture) });
const user = (...content: Part[]): Message[] => [{ role: "user", content }];

async function withModel<Result>(
  family: FamilyName,
  use: (model: Model) => Promise<Result>,
): Promise<Result> {
  const model = await load({ ...files[family], encoderPrecision: "f32", diskCache: false });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

async function ask(model: Model, messages: readonly Message[], raw = false) {
  const parts: StreamPart[] = [];
  for await (const part of model.stream({ messages, maxTokens: 16, temperature: 0, raw })) parts.push(part);
  const finish = parts.findLast((part) => part.type === "finish");
  return {
    text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""),
    image: finish?.usage.inputTokens.image ?? Number.NaN,
    total: finish?.usage.inputTokens.total ?? Number.NaN,
    receipts: parts.flatMap((part) => (part.type === "media" ? [part.receipt] : [])),
  };
}

describe("llama.cpp's mtmd, on the same files and pictures,", () => {
  let figures: MtmdFigures[];
  beforeAll(async () => {
    figures = await mtmdFigures(FIGURES, "test/pixtral-internvl-kimivl.test.ts", async () => {
      const inputs: MtmdInput[] = [];
      for (const { name, family, width, height } of CASES) {
        const { separator, writeForPeer, peerPrompt = "" }: Family = FAMILIES[family];
        const base = join(folder.path, `${inputs.length}-peer`);
        const pair = (await writeForPeer?.(base)) ?? files[family];
        const pixels = drawnPicture(width, height).data;
        const prompt = `Look: ${peerPrompt}<__media__>${separator}What is this?`;
        inputs.push({ name, folder: folder.path, files: pair, pixels, width, height, prompt });
      }
      return inputs;
    });
  });

  for (const [place, { name, family, width, height, same }] of CASES.entries()) {
    it(`gives the same rows: ${name}`, async () => {
      const figure = figures[place];
      const backend = new Backend(loadLibraries({ device: "cpu" }), { device: "cpu", threads: 2 });
      const gguf = await readGguf(files[family].projector);
      const encoder = await openImageEncoder(gguf, backend, { precision: "f32" });
      const preprocessed = encoder.preprocess(drawnPicture(width, height));
      const rows = await encoder.encode(preprocessed);
      await encoder.close();
      await backend.close();
      const count = figure?.rows.length ?? Number.NaN;
      expect(rows).toHaveLength(count * encoder.embeddingLength);
      const { tiles } = preprocessed;
      const compared = same === "all" ? count : (count / tiles.length) * (tiles.length - 1);
      const expected = figure?.rows.slice(0, compared).flat() ?? [];
      const actual = Array.from({ length: compared }, (_, row) =>
        keptValues(rows, row, encoder.embeddingLength),
      ).flat();
      // llama.cpp rounds pixels to half precision, and takes the approximation of GELU for GELU.
      const size = Math.hypot(...expected);
      expect(
        Math.hypot(...expected.map((value, place) => value - (actual[place] ?? Number.NaN))),
      ).toBeLessThan(0.002 * size);
    });

    it(`reads as many tokens, and answers the same: ${name}`, async () => {
      const figure = figures[place];
      await withModel(family, async (model) => {
        const { separator } = FAMILIES[family];
        const picture = image(drawnPicture(width, height));
        const messages = user(text("Look: "), picture, text(`${separator}What is this?`));
        const answer = await ask(model, messages, true);
        const lengths = figure?.prompt.map((part) => (typeof part === "number" ? part : part.length)) ?? [];
        expect(answer.image).toBe(figure?.rows.length);
        expect(answer.total).toBe(lengths.reduce((sum, length) => sum + length, 0));
        const expected = Buffer.from(figure?.text ?? "", "hex").toString();
        expect(answer.text === expected || same === "tiles").toBe(true);
      });
    });
  }
});

describe("the whole engine", () => {
  for (const family of Object.keys(FAMILIES) as FamilyName[]) {
    it(`${family}: counts the rows of one to eight pictures and tells what was done to each`, async () => {
      await withModel(family, async (model) => {
        const one = await ask(model, user(image(drawnPicture(50, 30)), text("What is this?")));
        const each = one.image;
        const rows = { pixtral: 4 * 8 - 1, mistral3: 2 * 5 - 1, internvl: 7 * 4, kimivl: 4 * 2 };
        expect(each).toBe(rows[family]);
        const actions = {
          pixtral: ["resized"],
          mistral3: ["resized"],
          internvl: ["resized", "tiled"],
          kimivl: ["padded"],
        }[family];
        for (let count = 1; count <= 8; count++) {
          const pictures = Array.from({ length: count }, (_, index) =>
            image(drawnPicture(50, 30, index + 1)),
          );
          const answer = await ask(model, user(...pictures, text("What are these?")));
          expect(answer.image).toBe(count * each);
          expect(answer.receipts.map(({ tokens }) => tokens)).toEqual(pictures.map(() => each));
          expect(answer.receipts.map(({ steps }) => steps.map(({ action }) => action))).toEqual(
            pictures.map(() => actions),
          );
        }
      });
    });

    it(`${family}: answers about two pictures as a fresh process does, in any order`, async () => {
      const [a, b] = [image(drawnPicture(96, 64, 1)), image(drawnPicture(40, 72, 2))];
      const prompts = [
        user(a, b, text("Compare.")),
        user(b, a, text("Compare.")),
        user(a, text("and"), b, text("Compare.")),
        user(text("Compare"), b, text("with"), a),
      ];
      const fresh: string[] = [];
      for (const prompt of prompts) {
        fresh.push(await withModel(family, async (model) => (await ask(model, prompt)).text));
      }
      await withModel(family, async (model) => {
        for (const [index, prompt] of [...prompts.entries(), ...[...prompts.entries()].toReversed()]) {
          expect((await ask(model, prompt)).text).toBe(fresh[index]);
        }
      });
      expect(new Set(fresh).size).toBeGreaterThan(1);
    });

    it(`${family}: reads pictures of any size`, async () => {
      await withModel(family, async (model) => {
        for (const [width, height] of [
          [1, 1],
          [1, 4000],
          [37, 113],
          [336, 336],
          [640, 480],
        ] as const) {
          const answer = await ask(model, user(image(drawnPicture(width, height)), text("What is this?")));
          expect(answer.image).toBeGreaterThan(0);
          expect(answer.receipts[0]).toMatchObject({ original: { width, height }, tokens: answer.image });
        }
      });
    });

    it(`${family}: looks at fewer or smaller parts of a picture that may take few rows`, async () => {
      await withModel(family, async (model) => {
        const small: Part = { ...(image(drawnPicture(96, 64)) as object), maxTokens: 16 } as Part;
        const answer = await ask(model, user(small, text("What is this?")));
        expect(answer.image).toBeLessThanOrEqual(16);
        expect(answer.image).toBeGreaterThanOrEqual(4);
        expect(answer.receipts[0]?.steps.map(({ action }) => action)).not.toContain("merged");
      });
    });
  }
});
