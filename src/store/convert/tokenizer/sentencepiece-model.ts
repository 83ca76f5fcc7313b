import { isUtf8 } from "node:buffer";
import { invalidModel } from "../../../gguf/invalid-model.ts";
import { type ProtobufField, protobufFields } from "./protobuf-fields.ts";
import { TOKEN_TYPES, type TokenType } from "./vocabulary.ts";

/** One entry of a SentencePiece vocabulary; its place is the number of the token. */
export interface Piece {
  text: string;
  score: number;
  type: TokenType;
}

/** What `tokenizer.model` says (`ModelProto` of SentencePiece), with its defaults filled in. */
export interface SentencePieceModel {
  pieces: Piece[];
  kind: "unigram" | "bpe" | "word" | "char" | "unknown";
  /** Special tokens by number; undefined: there is none. */
  ids: { bos: number | undefined; eos: number | undefined; unk: number | undefined; pad: number | undefined };
  /** Name of the rules by which text is rewritten first, such as "identity" or "nmt_nfkc". */
  normalizer: string;
  /** Whether those rules do anything. */
  normalizes: boolean;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
  treatWhitespaceAsSuffix: boolean;
}

const KINDS: Readonly<Record<number, SentencePieceModel["kind"]>> = {
  1: "unigram",
  2: "bpe",
  3: "word",
  4: "char",
};

/** `SentencePiece.Type` */
const PIECE_TYPES: Readonly<Record<number, TokenType>> = {
  1: TOKEN_TYPES.normal,
  2: TOKEN_TYPES.unknown,
  3: TOKEN_TYPES.control,
  4: TOKEN_TYPES.userDefined,
  5: TOKEN_TYPES.unused,
  6: TOKEN_TYPES.byte,
};

/**
 * @param maxPieces more pieces than this are an error, found before they are read
 * @throws MullError `invalid_model` that names the piece or field
 */
export function parseSentencePieceModel(
  path: string,
  bytes: Uint8Array,
  maxPieces: number,
): SentencePieceModel {
  const model: SentencePieceModel = {
    pieces: [],
    kind: "unigram",
    ids: { unk: 0, bos: 1, eos: 2, pad: undefined },
    normalizer: "",
    normalizes: false,
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
    treatWhitespaceAsSuffix: false,
  };
  for (const field of protobufFields(path, bytes)) {
    if (field.type !== "bytes") continue;
    if (field.number === 1) {
      if (model.pieces.length >= maxPieces) {
        throw invalidModel(
          path,
          `there are more pieces than the model has rows (${maxPieces})`,
          "The tokenizer belongs to another model.",
        );
      }
      model.pieces.push(parsePiece(path, field.bytes, model.pieces.length));
    } else if (field.number === 2) parseTrainer(path, field.bytes, model);
    else if (field.number === 3) parseNormalizer(path, field.bytes, model);
  }
  if (model.pieces.length === 0) throw invalidModel(path, "this SentencePiece model holds no pieces");
  return model;
}

function parsePiece(path: string, bytes: Uint8Array, index: number): Piece {
  const piece: Piece = { text: "", score: 0, type: TOKEN_TYPES.normal };
  for (const field of protobufFields(path, bytes)) {
    if (field.number === 1 && field.type === "bytes") {
      piece.text = utf8(path, field.bytes, `piece ${index}`);
    } else if (field.number === 2 && field.type === "fixed32") {
      piece.score = Buffer.from(field.bytes).readFloatLE(0);
    } else if (field.number === 3) {
      const type = field.type === "varint" && field.high === 0 ? PIECE_TYPES[field.low] : undefined;
      if (type === undefined) throw invalidModel(path, `piece ${index} is of an unknown type`);
      piece.type = type;
    }
  }
  if (!Number.isFinite(piece.score)) throw invalidModel(path, `the score of piece ${index} is no number`);
  return piece;
}

function parseTrainer(path: string, bytes: Uint8Array, model: SentencePieceModel): void {
  for (const field of protobufFields(path, bytes)) {
    if (field.type !== "varint") continue;
    if (field.number === 3) model.kind = KINDS[field.low] ?? "unknown";
    else if (field.number === 24) model.treatWhitespaceAsSuffix = flag(field);
    else if (field.number === 40) model.ids.unk = tokenId(field);
    else if (field.number === 41) model.ids.bos = tokenId(field);
    else if (field.number === 42) model.ids.eos = tokenId(field);
    else if (field.number === 43) model.ids.pad = tokenId(field);
  }
}

function parseNormalizer(path: string, bytes: Uint8Array, model: SentencePieceModel): void {
  for (const field of protobufFields(path, bytes)) {
    if (field.type === "bytes") {
      if (field.number === 1) model.normalizer = utf8(path, field.bytes, "the normalizer's name");
      else if (field.number === 2) model.normalizes = field.bytes.length > 0;
    } else if (field.type === "varint") {
      if (field.number === 3) model.addDummyPrefix = flag(field);
      else if (field.number === 4) model.removeExtraWhitespaces = flag(field);
      else if (field.number === 5) model.escapeWhitespaces = flag(field);
    }
  }
}

function flag(field: ProtobufField & { type: "varint" }): boolean {
  return field.low !== 0 || field.high !== 0;
}

/** An int32, of which negative ones mean "none". */
function tokenId({ low }: ProtobufField & { type: "varint" }): number | undefined {
  return low < 2 ** 31 ? low : undefined;
}

function utf8(path: string, bytes: Uint8Array, what: string): string {
  if (!isUtf8(bytes)) throw invalidModel(path, `${what} is not UTF-8`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
