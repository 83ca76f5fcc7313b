import { createHash, createPrivateKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { MullError } from "../../spec/errors.ts";

/** Registries that know people by the key that Ollama makes for them. It is shown to nobody else. */
const OLLAMA_REGISTRIES = ["https://registry.ollama.ai", "https://ollama.com"];

export interface OllamaKey {
  /** The public key as SSH writes it, in base64. */
  publicKey: string;
  privateKey: KeyObject;
}

/**
 * The key in `~/.ollama/id_ed25519`, for Ollama's own registries. Undefined where there is none.
 *
 * @throws MullError `unauthorized` for a file that is no key, or has a passphrase
 */
export async function ollamaKey(origin: string, env: NodeJS.ProcessEnv): Promise<OllamaKey | undefined> {
  if (!OLLAMA_REGISTRIES.includes(origin)) return undefined;
  const path = join(env["HOME"] ?? homedir(), ".ollama", "id_ed25519");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return parseOpenSshKey(text);
  } catch (error) {
    throw new MullError("unauthorized", `'${path}' is no key to sign with: ${(error as Error).message}.`, {
      hint: "Ollama writes a new one when it starts and finds none. Its public half belongs to your account there.",
    });
  }
}

/** A request for a token, with the time and a number that is used once, as Ollama's registry wants it signed. */
export function signedTokenRequest(
  address: URL,
  key: OllamaKey,
  now: number,
): { url: URL; authorization: string } {
  const url = new URL(address);
  url.searchParams.set("ts", String(Math.floor(now / 1000)));
  url.searchParams.set("nonce", randomBytes(16).toString("base64url"));
  url.searchParams.sort();
  const bodyDigest = createHash("sha256").update("").digest("hex");
  const signed = `GET,${url.href},${Buffer.from(bodyDigest).toString("base64")}`;
  const signature = sign(null, Buffer.from(signed), key.privateKey).toString("base64");
  return { url, authorization: `${key.publicKey}:${signature}` };
}

/**
 * A private Ed25519 key in OpenSSH's format (PROTOCOL.key), without a passphrase.
 *
 * @throws Error that says what it is instead
 */
export function parseOpenSshKey(text: string): OllamaKey {
  const armour =
    /-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END OPENSSH PRIVATE KEY-----/;
  const file = reader(Buffer.from(armour.exec(text)?.[1] ?? "", "base64"));
  if (file.take(15).toString("latin1") !== "openssh-key-v1\0")
    throw new Error("it is not in OpenSSH's format");
  const cipher = file.text();
  file.field(); // name of the key derivation
  file.field(); // its options
  if (cipher !== "none") throw new Error("it has a passphrase");
  if (file.uint32() !== 1) throw new Error("it holds several keys");
  const publicKey = file.field();
  const secret = reader(file.field());
  // The same number twice: how a wrong passphrase would be noticed.
  if (secret.uint32() !== secret.uint32()) throw new Error("it is damaged");
  const type = secret.text();
  if (type !== "ssh-ed25519") throw new Error(`it is of type ${type.replaceAll(/[^\w-]/g, "").slice(0, 40)}`);
  const x = secret.field(); // (32,) uint8: public half
  const seedAndPublic = secret.field(); // (64,) uint8
  const isWhole = x.length === 32 && seedAndPublic.length === 64 && publicKey.equals(publicBytes(x));
  if (!isWhole) throw new Error("it is damaged");
  const jwk = {
    kty: "OKP",
    crv: "Ed25519",
    x: x.toString("base64url"),
    d: seedAndPublic.subarray(0, 32).toString("base64url"),
  };
  return {
    publicKey: publicKey.toString("base64"),
    privateKey: createPrivateKey({ key: jwk, format: "jwk" }),
  };
}

/** Type and number, each with its length in front. */
function publicBytes(x: Buffer): Buffer {
  const type = Buffer.from("ssh-ed25519");
  return Buffer.concat([Buffer.from([0, 0, 0, type.length]), type, Buffer.from([0, 0, 0, x.length]), x]);
}

interface FieldReader {
  take(length: number): Buffer;
  uint32(): number;
  /** Bytes with their length in front. */
  field(): Buffer;
  text(): string;
}

function reader(bytes: Buffer): FieldReader {
  let offset = 0;
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) throw new Error("it ends too early");
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const uint32 = (): number => take(4).readUInt32BE();
  const field = (): Buffer => take(uint32());
  return { take, uint32, field, text: () => field().toString("latin1") };
}
