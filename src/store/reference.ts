import { createHash } from "node:crypto";
import { MullError } from "../spec/errors.ts";
import { type Digest, parseDigest } from "./digest.ts";
import { DEFAULT_TAG, type ModelName, modelName, parseModelName } from "./model-name.ts";

/** What a person writes to say which model is meant. */
export type ModelReference =
  /** `llava`, `llava:13b`, `user/model:tag`, `registry.host[:port]/space/model:tag`. */
  | { kind: "registry"; name: ModelName; protocol: "https" | "http" }
  /** `hf.co/org/repo[:quantization]`. */
  | { kind: "hugging-face"; name: ModelName; repository: string; quantization: string | undefined }
  /** `https://host/path/to/model.gguf`. */
  | { kind: "url"; name: ModelName; url: string }
  /** The path of a file or folder, as it was written. */
  | { kind: "path"; path: string }
  /** `sha256:<64 hex digits>`: of a manifest, or of a blob. */
  | { kind: "digest"; digest: Digest };

export const HUGGING_FACE_HOST = "hf.co";
const HUGGING_FACE_HOSTS = [HUGGING_FACE_HOST, "huggingface.co"];
const QUANTIZATION = /^\w[\w.-]{0,79}$/;

/**
 * The one parser of references. A path is told by its form, never by what lies on the disk: it begins with `/`, `./`,
 * `../`, `~/` or a drive letter, or ends in `.gguf`; `name` alone is always a name. After `hf.co/org/repo:` stands a
 * file's name as well as a quantization.
 *
 * @throws MullError `invalid_argument` that says what a reference looks like
 */
export function parseReference(text: string): ModelReference {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: "digest", digest };
  if (/^sha256[:-]/i.test(text)) return refuse(text, "A SHA-256 has 64 hex digits.");
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  if (scheme !== undefined) return parseWithScheme(text, scheme.toLowerCase(), rest);
  if (isPath(text)) return { kind: "path", path: text };
  return parseHuggingFace(text, text) ?? parseRegistry(text, text, "https");
}

function parseWithScheme(text: string, scheme: string, rest: string): ModelReference {
  if (scheme === "hf") return parseHuggingFace(text, `${HUGGING_FACE_HOST}/${rest}`) ?? refuse(text);
  if (scheme !== "https" && scheme !== "http") {
    return refuse(text, `The scheme ${scheme}:// is not known: use https://, http:// or hf://.`);
  }
  const url = URL.canParse(text) ? new URL(text) : refuse(text);
  if (url.username !== "" || url.password !== "") {
    return refuse("the address", "Leave name and password out of it: they would be stored with the model.");
  }
  if (/\.gguf$/i.test(url.pathname)) return { kind: "url", name: nameOfUrl(url), url: url.href };
  return parseHuggingFace(text, rest) ?? parseRegistry(text, rest, scheme);
}

function parseHuggingFace(text: string, rest: string): ModelReference | undefined {
  const [host = "", organisation = "", last = "", ...more] = rest.replace(/\/$/, "").split("/");
  if (!HUGGING_FACE_HOSTS.includes(host.toLowerCase())) return undefined;
  const [repository = "", quantization, ...tags] = last.split(":");
  const wrong = more.length > 0 || tags.length > 0;
  if (wrong || (quantization !== undefined && !QUANTIZATION.test(quantization))) {
    return refuse(text, "Hugging Face models look like hf.co/org/repo or hf.co/org/repo:Q4_K_M.");
  }
  const name = parseModelName(
    `${HUGGING_FACE_HOST}/${organisation}/${repository}:${quantization ?? DEFAULT_TAG}`,
  );
  if (name === undefined) return refuse(text);
  const isDefault = quantization === undefined || quantization.toLowerCase() === DEFAULT_TAG;
  return {
    kind: "hugging-face",
    name,
    repository: `${organisation}/${repository}`,
    quantization: isDefault ? undefined : quantization,
  };
}

function parseRegistry(text: string, rest: string, protocol: "https" | "http"): ModelReference {
  const name = parseModelName(rest);
  return name === undefined ? refuse(text) : { kind: "registry", name, protocol };
}

/** `/x`, `./x`, `../x`, `~/x`, `.`, `..`, `C:\x`, `C:/x`, `x.gguf`. */
function isPath(text: string): boolean {
  if (/^(?:hf\.co|huggingface\.co)\/[^/]+\/[^/:]+:[^/]+$/i.test(text)) return false;
  return /^(?:\.{0,2}|~)[/\\]|^\.{1,2}$|^[a-z]:[/\\]|\.gguf$/i.test(text);
}

/** A model from an address goes by its host, the stem of its file, and the beginning of the address' SHA-256. */
function nameOfUrl(url: URL): ModelName {
  const file = url.pathname.slice(url.pathname.lastIndexOf("/") + 1).replace(/\.gguf$/i, "");
  const stem = file.replaceAll(/%[0-9a-f]{2}|[^\w.-]/gi, "-").replace(/^[^a-z0-9]+/i, "");
  return modelName({
    host: url.host.replace(/^\[|\]/g, ""),
    namespace: "url",
    model: stem.slice(0, 80) || "model",
    tag: createHash("sha256").update(url.href).digest("hex").slice(0, 12),
  });
}

function refuse(text: string, hint?: string): never {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  throw new MullError("invalid_argument", `'${shown}' is not the name of a model.`, {
    hint:
      hint ??
      "Write model, model:tag, owner/model:tag, host/owner/model:tag, hf.co/org/repo, an address or path of a .gguf file, or sha256:<digest>.",
  });
}

/** The name under which a reference's model is, or will be, in the store. */
export function nameOf(reference: ModelReference): ModelName | undefined {
  return "name" in reference ? reference.name : undefined;
}
