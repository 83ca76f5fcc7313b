import { afterAll, beforeAll, vi } from "vitest";
import type { DockerRegistry } from "./docker-registry.ts";
import { startDockerRegistry } from "./docker-registry.ts";
import { type PublishedModel, publishModel } from "./published-model.ts";
import { PullScene } from "./pull-scene.ts";
import { temporaryFolder } from "./tiny-models.ts";

export interface RegistryScenes {
  readonly registry: DockerRegistry;
  /** A folder that lives as long as the tests of the file. */
  readonly folder: string;
  readonly published: PublishedModel;
  /** A new store with a new proxy in front of the registry; of the model of this file unless another is given. */
  open(options?: { root?: string; like?: PullScene; published?: PublishedModel }): Promise<PullScene>;
}

/** A registry and a model in it for the tests of one file, and a store and a proxy for each test. */
export function registryScenes(options: Parameters<typeof publishModel>[2] = {}): RegistryScenes {
  // Some faults are waited for: a connection that stands still for 30 s, tries that come later and later.
  vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });
  const folder = temporaryFolder();
  const scenes: PullScene[] = [];
  let registry: DockerRegistry;
  let published: PublishedModel;
  beforeAll(async () => {
    registry = await startDockerRegistry();
    published = await publishModel(folder.path, registry.host, options);
  });
  afterAll(async () => {
    for (const scene of scenes.splice(0)) await scene[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });
  return {
    get registry() {
      return registry;
    },
    get folder() {
      return folder.path;
    },
    get published() {
      return published;
    },
    async open({ published: other = published, ...how } = {}) {
      const scene = await PullScene.open(other, registry.host, how);
      scenes.push(scene);
      return scene;
    },
  };
}
