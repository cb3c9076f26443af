/**
 * Run before every test file: after each test the worker hears what vitest answers. Tests that wait for other programs without letting go of the
 * event loop would else keep it from that together, and what is not heard within a minute is an error, though every test passed.
 */
import { setImmediate } from 'node:timers/promises';
import { afterEach } from 'vitest';

afterEach(async () => {
  await setImmediate();
  await setImmediate();
});
