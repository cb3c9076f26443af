// Puts the command line program into one file: loading a hundred modules would be a third of the time that a short guest takes.
import { inProject } from './files.mjs';

/** Replaces `entry` (a built module) by itself and all it imports. Packages stay outside; names stay readable in stack traces. */
export async function bundle(entry) {
  const { build } = await import(inProject('node_modules', 'esbuild', 'lib', 'main.js'));
  await build({
    entryPoints: [entry],
    outfile: entry,
    allowOverwrite: true,
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  });
}
