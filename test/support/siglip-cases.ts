import { writeRandomTextModel } from "../../bench/random-model.ts";
import { writeTinyGemma3 } from "./tiny-gemma3.ts";
import { writeTinyLfm2 } from "./tiny-lfm2.ts";
import {
  type SiglipShape,
  TINY_GEMMA3_PROJECTOR,
  TINY_IDEFICS3_PROJECTOR,
  TINY_LFM2_PROJECTOR,
  writeTinySiglip,
} from "./tiny-siglip.ts";

/** A picture and a prompt that are given to llama.cpp's mtmd and to mull. */
export interface SiglipCase {
  name: string;
  projector: SiglipShape;
  width: number;
  height: number;
  before: string;
  after: string;
  /** What mtmd leaves out around a picture. */
  around: string;
}

export const SIGLIP_CASES: readonly SiglipCase[] = [
  {
    name: "gemma3",
    projector: TINY_GEMMA3_PROJECTOR,
    // mtmd puts bars around a picture that is not square, where Gemma's code stretches it.
    width: 200,
    height: 200,
    before: "<start_of_turn>user\nlook",
    after: "what is it<end_of_turn>\n",
    around: "\n\n",
  },
  ...(
    [
      [640, 480],
      [37, 113],
      [300, 40],
    ] as const
  ).map(([width, height]) => ({
    name: `idefics3 ${width}x${height}`,
    projector: TINY_IDEFICS3_PROJECTOR,
    width,
    height,
    before: "<|im_start|>User:",
    after: "what is it<end_of_utterance>\nAssistant:",
    around: "",
  })),
  // One as it is, one that is made smaller, one in two tiles.
  ...(
    [
      [300, 200],
      [700, 500],
      [1280, 640],
    ] as const
  ).map(([width, height]) => ({
    name: `lfm2 ${width}x${height}`,
    projector: TINY_LFM2_PROJECTOR,
    width,
    height,
    before: "<|im_start|>user\n",
    after: "what is it<|im_end|>\n<|im_start|>assistant\n",
    around: "",
  })),
];

const IDEFICS3_TOKENS = [
  "<|im_start|>",
  "<end_of_utterance>",
  "<fake_token_around_image>",
  "<global-img>",
  ...[1, 2, 3, 4].flatMap((row) => [1, 2, 3, 4].map((column) => `<row_${row}_col_${column}>`)),
];

/** As published, without what is for tools and system messages. */
const CHAT_TEMPLATES = {
  gemma3:
    "{{ bos_token }}{%- for message in messages -%}" +
    "{%- if (message['role'] == 'assistant') -%}{%- set role = \"model\" -%}" +
    "{%- else -%}{%- set role = message['role'] -%}{%- endif -%}" +
    "{{ '<start_of_turn>' + role + '\\n' }}" +
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}" +
    "{%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}" +
    "{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}" +
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}" +
    "{%- else -%}{{ raise_exception(\"Invalid content type\") }}{%- endif -%}{{ '<end_of_turn>\\n' }}{%- endfor -%}" +
    "{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}",
  idefics3:
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}" +
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}" +
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}" +
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}" +
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
  lfm2:
    "{{- bos_token -}}{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\\n' -}}" +
    "{%- if message['content'] is string -%}{{- message['content'] -}}" +
    "{%- else -%}{%- for item in message['content'] -%}" +
    "{%- if item['type'] == 'image' -%}{{- '<image>' -}}{%- else -%}{{- item['text'] -}}{%- endif -%}{%- endfor -%}" +
    "{%- endif -%}{{- '<|im_end|>\\n' -}}{%- endfor -%}" +
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
};

export async function writeSiglipModels(
  { projector }: Pick<SiglipCase, "projector">,
  paths: { model: string; projector: string },
): Promise<void> {
  const chatTemplate = CHAT_TEMPLATES[projector.projector];
  if (projector.projector === "lfm2") await writeTinyLfm2(paths.model, { chatTemplate });
  else if (projector.projector === "gemma3") await writeTinyGemma3(paths.model, { chatTemplate });
  else await writeRandomTextModel(paths.model, { chatTemplate, controlTokens: IDEFICS3_TOKENS });
  await writeTinySiglip(paths.projector, projector);
}

/** Gradients, stripes and grain by a formula that needs no random numbers: (height, width, 3) uint8. */
export function drawPixels(width: number, height: number): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let index = 0; index < data.length; index++) {
    const channel = index % 3;
    const x = ((index - channel) / 3) % width;
    const y = Math.floor(index / 3 / width);
    data[index] = (x * 7 + y * 13 + channel * 50 + ((x * y) % 11) * 9) % 256;
  }
  return data;
}
