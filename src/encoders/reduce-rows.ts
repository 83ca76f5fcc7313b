export function reduceRows(
  rows: Float32Array,
  o: { width: number; target: number; grid?: unknown },
): Float32Array {
  return rows.subarray(0, o.width * o.target);
}
