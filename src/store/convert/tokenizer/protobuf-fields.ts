import { invalidModel } from "../../../gguf/invalid-model.ts";

/** One field of a message. */
export type ProtobufField =
  /** An integer, as its lower and upper 32 bits. */
  | { number: number; type: "varint"; low: number; high: number }
  /** Four bytes. */
  | { number: number; type: "fixed32"; bytes: Uint8Array }
  /** Eight bytes. */
  | { number: number; type: "fixed64"; bytes: Uint8Array }
  /** A string, bytes, or a message: a view, not a copy. */
  | { number: number; type: "bytes"; bytes: Uint8Array };

const TWO_TO_32 = 2 ** 32;
const MAX_FIELD_NUMBER = 2 ** 29 - 1;

/**
 * The fields of a protobuf message in file order, each checked against the end of the message.
 * Nothing is allocated but views, so memory is bounded by the message whatever its lengths claim.
 *
 * @throws MullError `invalid_model` that names the byte
 */
export function* protobufFields(path: string, bytes: Uint8Array): Generator<ProtobufField> {
  let offset = 0;
  const fail = (problem: string): never => {
    throw invalidModel(path, `${problem} at byte ${bytes.byteOffset + offset} of this protobuf file`);
  };
  const varint = (): { low: number; high: number } => {
    let [low, high] = [0, 0];
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[offset] ?? fail("a number is cut off");
      offset++;
      const digits = byte & 0x7f;
      if (shift < 28) low += digits * 2 ** shift;
      else if (shift === 28) {
        low += (digits & 0xf) * 2 ** 28;
        high += digits >> 4;
      } else high += digits * 2 ** (shift - 32);
      if (byte < 0x80) return high < TWO_TO_32 ? { low, high } : fail("a number has more than 64 bits");
    }
    return fail("a number has more than ten bytes");
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - offset) return fail(`a field of ${length} bytes is cut off`);
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  while (offset < bytes.length) {
    const tag = varint();
    const number = tag.high * 2 ** 29 + Math.floor(tag.low / 8);
    if (number < 1 || number > MAX_FIELD_NUMBER) fail("there is no field");
    switch (tag.low % 8) {
      case 0:
        yield { number, type: "varint", ...varint() };
        break;
      case 1:
        yield { number, type: "fixed64", bytes: take(8) };
        break;
      case 2: {
        const length = varint();
        yield { number, type: "bytes", bytes: take(length.high * TWO_TO_32 + length.low) };
        break;
      }
      case 5:
        yield { number, type: "fixed32", bytes: take(4) };
        break;
      default:
        fail("there is a field of an unknown type");
    }
  }
}
