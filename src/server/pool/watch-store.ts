import type { ModelStore } from "../../store/model-store.ts";

/** The same store, which tells whenever one of its names has changed: before anybody can hear of the change. */
export function watchStore(store: ModelStore, onChange: () => void): ModelStore {
  const telling =
    <Arguments extends unknown[], Result>(work: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      try {
        return await work(...given);
      } finally {
        onChange();
      }
    };
  return {
    ...store,
    writeManifest: telling((...given) => store.writeManifest(...given)),
    copy: telling((...given) => store.copy(...given)),
    remove: telling((...given) => store.remove(...given)),
  };
}
