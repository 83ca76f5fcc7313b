const KINDS: readonly (readonly [pattern: RegExp, kind: string, hint: string])[] = [
  [/^\x89PNG/, "a PNG picture", "Give pictures behind the prompt, or with -f."],
  [/^\xff\xd8\xff/, "a JPEG picture", "Give pictures behind the prompt, or with -f."],
  [/^(GIF8|RIFF....WEBP)/s, "a picture", "Give pictures behind the prompt, or with -f."],
  [
    /^version https:\/\/git-lfs/,
    "a Git LFS pointer, not the model itself",
    "Run git lfs pull where it came from.",
  ],
  [
    /^\s*(<!doctype|<html|<\?xml)/i,
    "a web page",
    "The download got an error page. Download the file itself.",
  ],
  [/^[\s\S]{8}\{\s*"/, "a safetensors file", "Convert the model to GGUF first."],
  [/^(PK|\x80)/, "a PyTorch checkpoint", "Convert the model to GGUF first."],
  [/^(lmgg|fmgg|tjgg|algg)/, "a GGML file from before GGUF", "Convert the model to GGUF first."],
  [/^\s*[[{]/, "a JSON file", "Give the .gguf file."],
];

/**
 * What a file that does not start with "GGUF" is instead.
 *
 * @param head the first bytes of the file, 16 or more if it has them
 */
export function describeFileKind(head: Uint8Array): { kind: string; hint: string } {
  const text = Buffer.from(head).toString("latin1");
  for (const [pattern, kind, hint] of KINDS) {
    if (pattern.test(text)) return { kind, hint };
  }
  if (head.every((byte) => byte === 0)) {
    return { kind: "filled with zeros", hint: "The download did not finish. Get the file again." };
  }
  return { kind: "of an unknown format", hint: "Give a .gguf file." };
}
