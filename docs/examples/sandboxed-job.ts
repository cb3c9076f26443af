// Runs an untrusted static program on a text with nothing of the host in reach, and within limits: node sandboxed-job.js PROGRAM TEXT
import { readFileSync } from 'node:fs';
import { Machine, memoryRoot } from 'seg386';

const [program, text] = process.argv.slice(2);
const machine = new Machine({ root: memoryRoot, memory: 64 * 2 ** 20, maxProcesses: 8, deterministic: true });

machine.files.mkdir('/job');
machine.files.writeFile('/job/program', readFileSync(program), { mode: 0o755 });
machine.files.writeFile('/job/in', text);

const missing = new Set<string>();
machine.on('syscall', ({ name, supported }) => {
  if (!supported) missing.add(name);
});

const job = await machine.run({
  argv: ['/job/program', '/job/in', '/job/out'],
  cwd: '/job',
  limits: { instructions: 100_000_000, time_ms: 10_000, fileSize: 2 ** 20, openFiles: 16, output: 2 ** 16 },
});

if (job.limit !== undefined) console.log(`stopped: too much ${job.limit}`);
else if (job.exitCode === 0) console.log(machine.files.readText('/job/out').trimEnd());
else console.log(`failed with ${job.exitCode}: ${job.stderrText}`);
if (missing.size > 0) console.log(`it asked for ${[...missing].join(', ')}`);
machine.close();
