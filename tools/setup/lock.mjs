// One set-up at a time in one clone. The lock is a Linux abstract socket: the kernel drops it when its holder ends, however it ends.
import { createHash } from 'node:crypto';
import net from 'node:net';
import { PROJECT } from './files.mjs';
import { say } from './say.mjs';

/** Runs `work` while holding the lock called `name`; waits for another holder to end first. */
export async function locked(name, work) {
  if (process.platform !== 'linux') return work();
  const address = `\0seg386-${name}-${createHash('sha256').update(PROJECT).digest('hex').slice(0, 24)}`;
  let told = false;
  for (;;) {
    const server = await listen(address);
    if (server) {
      try {
        return await work();
      } finally {
        server.close();
      }
    }
    if (!told) say('another set-up of this clone is under way; waiting for it');
    told = true;
    await untilGone(address);
  }
}

function listen(address) {
  return new Promise((resolve, reject) => {
    const held = new Set();
    const server = net.createServer((socket) => {
      held.add(socket.on('error', () => {}));
    });
    server.on('close', () => held.forEach((socket) => socket.destroy()));
    server.on('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(address, () => {
      const close = server.close.bind(server);
      server.close = () => {
        for (const socket of held) socket.destroy();
        close();
      };
      server.unref();
      resolve(server);
    });
  });
}

/** Holds a connection to the holder; it breaks when the holder lets go. */
function untilGone(address) {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    const done = () => {
      socket.destroy();
      setTimeout(resolve, 50);
    };
    socket.on('error', done);
    socket.on('close', done);
    socket.resume();
  });
}
