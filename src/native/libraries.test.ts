import { expect, test } from "vitest";
import { loadLibraries } from "./libraries.ts";

test("loads the libraries of this platform once", () => {
  const libraries = loadLibraries({ device: "cpu" });
  expect(libraries.base.func("ggml_commit", "str", [])()).toMatch(/^[0-9a-f]{7}/);
  expect(loadLibraries({ device: "cpu" })).toBe(libraries);
  // Devices are registered, and not twice.
  expect(libraries.ggml.func("ggml_backend_dev_count", "size_t", [])()).toBeGreaterThanOrEqual(1);
  loadLibraries({ device: "cpu" });
  expect(libraries.ggml.func("ggml_backend_reg_count", "size_t", [])()).toBeLessThanOrEqual(3);
});
