import { ENTRY_KINDS, type EntryKind } from "./cache-directory.ts";
import type { CacheKey } from "./cache-key.ts";
import { CHECKSUM_BYTES } from "./entry-checksum.ts";

/**
 * The file of an entry, little-endian:
 *
 * ```
 *   0  8 bytes  "mullcach"
 *   8  u32      version of this format
 *  12  u32      kind: 0 rows, 1 snapshot, 2 digest
 *  16  32 bytes key
 *  48  u64      length of the payload
 *  56  f64      when it was written, in ms since 1970
 *  64  u32      length of the facts
 *  68  u32      zero
 *  72  facts (JSON), payload, 16 bytes of checksum over everything before it
 * ```
 */
export const HEADER_BYTES = 72;
export const MAX_META_BYTES: number = 64 * 1024;
/** Of a whole file. A size beyond it is a fault of the disk, and no memory is allocated for it. */
export const MAX_ENTRY_BYTES: number = 4 * 1024 ** 3;

const MAGIC = Buffer.from("mullcach");
const VERSION = 1;

export interface EntryHeader {
  kind: EntryKind;
  key: CacheKey;
  payloadBytes: number;
  createdMs: number;
  metaBytes: number;
}

/** The file is not what its name promises: it was cut off, changed, or put there by somebody else. */
export class DamagedEntry extends Error {}

export function encodeHeader(header: EntryHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(ENTRY_KINDS.indexOf(header.kind), 12);
  bytes.write(header.key, 16, "hex");
  bytes.writeBigUInt64LE(BigInt(header.payloadBytes), 48);
  bytes.writeDoubleLE(header.createdMs, 56);
  bytes.writeUInt32LE(header.metaBytes, 64);
  return bytes;
}

/**
 * @param fileBytes size of the file: the lengths in the header must add up to it, so that none is believed before
 *   memory is allocated for it
 * @throws DamagedEntry when it is no header, or one of another entry
 */
export function decodeHeader(bytes: Buffer, kind: EntryKind, key: CacheKey, fileBytes: number): EntryHeader {
  if (bytes.length !== HEADER_BYTES) throw new DamagedEntry("The header is cut off.");
  const payloadBytes = Number(bytes.readBigUInt64LE(48));
  const metaBytes = bytes.readUInt32LE(64);
  const header = { kind, key, payloadBytes, createdMs: bytes.readDoubleLE(56), metaBytes };
  if (metaBytes > MAX_META_BYTES || fileBytes > MAX_ENTRY_BYTES || entryBytes(header) !== fileBytes) {
    throw new DamagedEntry("The lengths in the header are not those of the file.");
  }
  if (kind === "rows" && payloadBytes % 4 !== 0) throw new DamagedEntry("Rows are no float32.");
  // Whatever differs from the header that would be written today: magic, version, kind, key, reserved bytes.
  if (!encodeHeader(header).equals(bytes)) throw new DamagedEntry("The header is of something else.");
  return header;
}

/** Size of the whole file. */
export function entryBytes(header: Pick<EntryHeader, "metaBytes" | "payloadBytes">): number {
  return HEADER_BYTES + header.metaBytes + header.payloadBytes + CHECKSUM_BYTES;
}
