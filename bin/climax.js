#!/usr/bin/env node
import module from "node:module";

// Newer versions of Node keep compiled modules between runs: a command starts sooner.
module.enableCompileCache?.();
const { main } = await import("../dist/cli/main.js");

process.exitCode = await main(process.argv.slice(2));
