declare const brand: unique symbol;

/**
 * Address of a native object. The brand keeps a buffer from being passed as a tensor.
 * C's NULL is `null`: functions that can fail return `Pointer<…> | null`.
 */
export type Pointer<Name extends string> = bigint & { readonly [brand]: Name };

/** Bytes that native code reads or writes during one call: an address, or memory of JavaScript. */
export type Bytes = Pointer<"bytes"> | NodeJS.TypedArray;
