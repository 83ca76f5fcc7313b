/**
 * The AI SDK with mull: an object that fits a schema, about a picture. No server is needed; with MULL_URL it asks one.
 *
 *   npm run build
 *   node examples/ai-sdk.mjs
 *   MULL_URL=http://127.0.0.1:11434 node examples/ai-sdk.mjs
 */
import { readFile } from "node:fs/promises";
import { generateObject, streamText } from "ai";
import { createMull } from "mull/ai-sdk";
import { z } from "zod";

const baseURL = process.env.MULL_URL;
const mull = createMull(baseURL === undefined ? {} : { baseURL });
const image = await readFile(new URL("red-circle.png", import.meta.url));
const about = (text) => [
  {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text },
    ],
  },
];

try {
  const { textStream } = streamText({
    model: mull("pico"),
    messages: about("What's in this image?"),
    temperature: 0,
  });
  for await (const delta of textStream) process.stdout.write(delta);
  process.stdout.write("\n");

  const { object, providerMetadata } = await generateObject({
    model: mull("pico"),
    schema: z.object({ colour: z.enum(["red", "blue", "yellow"]) }),
    messages: about("What colour is it?"),
    temperature: 0,
  });
  const [receipt] = providerMetadata?.mull?.receipts ?? [];
  console.log(object, `(picture: ${receipt.tokens} tokens, ${receipt.cached ? "cached" : "encoded"})`);
} finally {
  await mull.close();
}
