import { layer, type LayerKind } from "../../src/store/manifest.ts";
import { encodeManifest } from "../../src/store/manifest.ts";
import { digestOf } from "../../src/store/digest.ts";
import type { RangeServer } from "./range-server.ts";

/**
 * Puts a model into a `RangeServer` as a registry has it: `127.0.0.1:PORT/library/NAME`, its blobs at
 * `/v2/library/NAME/blobs/…`.
 *
 * @returns the name to pull, and the path of the first layer's blob
 */
export function publish(
  server: RangeServer,
  model: string,
  layers: readonly { kind: LayerKind; content: string | Uint8Array }[],
): { name: string; blobPath: string } {
  const place = `/v2/library/${model}`;
  const put = (content: string | Uint8Array): { digest: ReturnType<typeof digestOf>; size: number } => {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes);
    server.blobs.set(`${place}/blobs/${digest}`, bytes);
    return { digest, size: bytes.length };
  };
  const config = {
    mediaType: "application/vnd.docker.container.image.v1+json",
    ...put('{"model_format":"gguf"}'),
  };
  const described = layers.map(({ kind, content }) => {
    const { digest, size } = put(content);
    return layer(kind, digest, size);
  });
  server.blobs.set(`${place}/manifests/latest`, encodeManifest({ config, layers: described }));
  const { host } = new URL(server.url);
  return {
    name: `http://${host}/library/${model}`,
    blobPath: `${place}/blobs/${described[0]?.digest ?? config.digest}`,
  };
}
