/** A picture as its base64, or as something that a client names instead of sending it. */
export type WirePicture = { base64: string } | { name: string };

export interface WireQuestion {
  text: string;
  pictures?: readonly WirePicture[];
  model?: string;
  /** Most tokens of the answer. */
  tokens?: number;
  stream?: boolean;
}

/** How one API asks, answers, streams and refuses. */
export interface WireDialect {
  name: string;
  path: string;
  /** Body of a greedy question. */
  ask: (question: WireQuestion) => Record<string, unknown>;
  /** Text of a whole answer. */
  answerOf: (body: unknown) => string;
  /** Whether this is an error in this API's shape, and no other. */
  isError: (body: unknown) => boolean;
  /** The last piece of a stream that ended as it should. */
  end: RegExp;
  /** The last piece of a stream that was cut off by the server. */
  cut: RegExp;
  /** Status of a server that is too busy. */
  busy: number;
}

const url = (picture: WirePicture): string =>
  "name" in picture ? picture.name : `data:image/png;base64,${picture.base64}`;

const ollama: WireDialect = {
  name: "Ollama",
  path: "/api/chat",
  ask: ({ text, pictures = [], model = "pico", tokens = 64, stream = false }) => ({
    model,
    messages: [
      {
        role: "user",
        content: text,
        images: pictures.map((picture) => ("name" in picture ? picture.name : picture.base64)),
      },
    ],
    stream,
    options: { temperature: 0, num_predict: tokens },
  }),
  answerOf: (body) => (body as { message: { content: string } }).message.content,
  isError: (body) => sameKeys(body, ["error"]) && typeof (body as { error: unknown }).error === "string",
  end: /"done":true[^\n]*\}\n$/,
  cut: /\n\{"error":"[^\n]*"\}\n$/,
  busy: 503,
};

const openai: WireDialect = {
  name: "OpenAI",
  path: "/v1/chat/completions",
  ask: ({ text, pictures = [], model = "pico", tokens = 64, stream = false }) => ({
    model,
    messages: [
      {
        role: "user",
        content: [
          ...pictures.map((picture) => ({ type: "image_url", image_url: { url: url(picture) } })),
          { type: "text", text },
        ],
      },
    ],
    stream,
    temperature: 0,
    max_tokens: tokens,
  }),
  answerOf: (body) =>
    (body as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? "",
  isError: (body) =>
    sameKeys(body, ["error"]) &&
    sameKeys((body as { error: unknown }).error, ["message", "type", "param", "code"]),
  end: /data: \[DONE\]\n\n$/,
  cut: /data: \{"error":\{[^\n]*\}\}\n\n$/,
  busy: 503,
};

const anthropic: WireDialect = {
  name: "Anthropic",
  path: "/v1/messages",
  ask: ({ text, pictures = [], model = "pico", tokens = 64, stream = false }) => ({
    model,
    messages: [
      {
        role: "user",
        content: [
          ...pictures.map((picture) => ({
            type: "image",
            source:
              "name" in picture
                ? { type: "url", url: picture.name }
                : { type: "base64", media_type: "image/png", data: picture.base64 },
          })),
          { type: "text", text },
        ],
      },
    ],
    stream,
    temperature: 0,
    max_tokens: tokens,
  }),
  answerOf: (body) => (body as { content: { text: string }[] }).content[0]?.text ?? "",
  isError: (body) =>
    sameKeys(body, ["type", "error"]) &&
    (body as { type: unknown }).type === "error" &&
    sameKeys((body as { error: unknown }).error, ["type", "message"]),
  end: /event: message_stop\ndata: [^\n]*\n\n$/,
  cut: /event: error\ndata: [^\n]*\n\n$/,
  // Anthropic's own status for a server with too much to do.
  busy: 529,
};

export const DIALECTS: readonly WireDialect[] = [ollama, openai, anthropic];

export function post(
  server: { url: string },
  path: string,
  body: unknown,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(server.url + path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
}

/** @throws Error with what came instead of an answer */
export async function answer(
  server: { url: string },
  dialect: WireDialect,
  question: WireQuestion,
): Promise<string> {
  const response = await post(server, dialect.path, dialect.ask(question));
  const body: unknown = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return dialect.answerOf(body);
}

function sameKeys(value: unknown, keys: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  return JSON.stringify(Object.keys(value).sort()) === JSON.stringify([...keys].sort());
}
