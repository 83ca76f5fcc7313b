import { MullError } from "../../spec/errors.ts";
import type { RemoteBlob } from "../remote-model.ts";

const KEPT = "Pull again: what is there is kept.";

/** @param total bytes that the server has */
export function sizeError(
  { label, digest }: RemoteBlob,
  origin: string,
  total: number,
  size: number,
): MullError {
  const known = digest === undefined ? "before it had" : "the manifest says";
  return new MullError(
    "digest_mismatch",
    `${origin} has ${total} bytes under ${label}, and ${known} ${size}.`,
    {
      hint: "Its copy may be damaged, or a proxy or a login page answers in its place.",
      details: { total, size },
    },
  );
}

export function rangeError({ label }: RemoteBlob, origin: string, asked: number, start: number): MullError {
  return new MullError(
    "server_unreachable",
    `${origin} was asked for ${label} from byte ${asked} on, and sends it from byte ${start} on.`,
    { hint: `A proxy between may mix up ranges. ${KEPT}`, details: { reason: "protocol" } },
  );
}

export function endError({ label }: RemoteBlob, origin: string, at: number): MullError {
  return new MullError("server_unreachable", `${origin} ended ${label} at byte ${at}, before the end.`, {
    hint: KEPT,
  });
}

export function mismatchError({ label }: RemoteBlob, origin: string): MullError {
  return new MullError("digest_mismatch", `What ${origin} sends as ${label} is not what that name says.`, {
    hint: "Its copy is damaged, or something on the way changes it. Nothing of it was kept: pull again later, or from elsewhere.",
    details: { label, origin },
  });
}

/** What a connection threw: errors that are none of ours are those of the network. */
export function connectionError(error: unknown, label: string, origin: string): MullError {
  if (MullError.is(error)) return error;
  const problem = error instanceof Error ? error.message : String(error);
  return new MullError("server_unreachable", `${label} from ${origin}: the connection broke: ${problem}.`, {
    hint: KEPT,
    cause: error,
  });
}
