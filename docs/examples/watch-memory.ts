// Shows the pages that a program touches as it touches them, its segments, and a picture: node watch-memory.js PICTURE.svg ROOT PROGRAM [ARGUMENTS...]
import { writeFileSync } from 'node:fs';
import { Machine } from 'seg386';

const [svg, root, ...argv] = process.argv.slice(2);
const machine = new Machine({ root });
const hex = (value: number): string => value.toString(16).padStart(8, '0');

let faults = 0;
const stop = machine.on('fault', ({ process, address, access, outcome, reason }) => {
  faults++;
  const area = process.maps().find(({ base, top }) => address >= base && address < top);
  console.log(`${access.padEnd(5)} ${hex(address)} ${outcome} ${area?.name ?? ''}${reason ?? ''}`);
});
machine.on('exit', ({ process }) => {
  // The memory is still there.
  for (const { class: name, base, top } of process.segments()) console.log(`${name.padEnd(7)} ${hex(base)}-${hex(top)}`);
  const resident = process.smaps().reduce((pages, { counts }) => pages + counts.resident, 0);
  console.log(`${resident} pages in memory, ${faults} faults`);
  writeFileSync(svg, process.picture() ?? '');
});
await machine.run({ argv });
stop();
machine.close();
