// Puts the command line program into one file: loading a hundred modules would be a third of the time that a short guest takes.
import { inProject } from './files.mjs';

/** Makes `outfile`, a script for bin/seg386, of `entry` (a built module) and all it imports. Names stay readable in stack traces. */
export async function bundle(entry, outfile) {
  const { build } = await import(inProject('node_modules', 'esbuild', 'lib', 'main.js'));
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    define: { 'import.meta.url': '__url' },
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  });
}
