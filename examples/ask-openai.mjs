/**
 * OpenAI's client, as it comes from npm, asks a running mull about a picture and prints the answer as it is written.
 *
 *   mull serve
 *   node examples/ask-openai.mjs "How many stars are there?" examples/three-stars.png
 */
import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const [question = "What's in this image?", file = new URL("smile.png", import.meta.url)] =
  process.argv.slice(2);
const openai = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:11434/v1",
  // The client insists on a key; mull asks for one only where it was given any.
  apiKey: process.env.MULL_API_KEY ?? "none",
});

// The format is told from the bytes, whatever the URL calls it.
const url = `data:image/png;base64,${(await readFile(file)).toString("base64")}`;
const stream = openai.chat.completions.stream({
  model: "pico",
  temperature: 0,
  stream_options: { include_usage: true },
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url } },
        { type: "text", text: question },
      ],
    },
  ],
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  // An extension of mull: what the model saw of the picture.
  for (const { name, tokens, cached } of chunk.receipts ?? []) console.error({ name, tokens, cached });
}
process.stdout.write("\n");
console.error((await stream.finalChatCompletion()).usage?.prompt_tokens_details);
