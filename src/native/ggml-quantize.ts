import type { Libraries } from "./libraries.ts";
import type { Bytes } from "./pointer.ts";

/** The conversions between weight types in ggml.h. */
export interface GgmlQuantize {
  /** Writes `rows` rows of `columns` float32 as `type`; returns the number of bytes written. */
  quantizeChunk(
    type: number,
    source: Float32Array,
    target: Bytes,
    start: number,
    rows: number,
    columns: number,
    importance: null,
  ): number;
  /** Reads `count` elements of `type` as float32. False: ggml cannot read that type. */
  toFloat(type: number, source: Bytes, target: Float32Array, count: number): boolean;
}

const pointer = "void *";

export function declareGgmlQuantize({ base, koffi }: Libraries): GgmlQuantize {
  const toFloatType = koffi.proto("void", [pointer, pointer, "int64"]);
  const traitsType = koffi.struct({
    type_name: "str",
    blck_size: "int64",
    blck_size_interleave: "int64",
    type_size: "size_t",
    is_quantized: "bool",
    to_float: pointer,
    from_float_ref: pointer,
  });
  const getTypeTraits = base.func("ggml_get_type_traits", pointer, ["int"]);
  return {
    quantizeChunk: base.func("ggml_quantize_chunk", "size_t", [
      "int",
      pointer,
      pointer,
      "int64",
      "int64",
      "int64",
      pointer,
    ]),
    toFloat(type, source, target, count) {
      const traits = koffi.decode(getTypeTraits(type), traitsType) as { to_float: bigint | null };
      if (traits.to_float === null) return false;
      koffi.call(traits.to_float, toFloatType, source, target, count);
      return true;
    },
  };
}
