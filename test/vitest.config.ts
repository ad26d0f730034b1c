import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// One process: the adapter is opened, and each pipeline compiled, once for the whole suite.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/scratch.ts"],
    pool: "forks",
    maxWorkers: 1,
    isolate: false,
    // With empty caches lavapipe compiles the kernels of a first training step for more than a minute on a slow machine.
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
