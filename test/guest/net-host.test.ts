/** `--net host`: a guest's sockets reach the host's loopback, and the host reaches a guest's; without it neither can. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { emulator } from '../drivers/emulator.ts';
import { compilerVersion, type Fixture, plainProgram, runFixture } from '../drivers/fixtures.ts';

const canBuild = (await compilerVersion()) !== undefined;

function program(...args: string[]): Fixture {
  const source = fileURLToPath(new URL('net-host.c', import.meta.url));
  return plainProgram('net-host', source, args);
}

async function run(options: readonly string[], ...args: string[]): Promise<string> {
  const { stdout } = await runFixture(program(...args), emulator, { options });
  return String(stdout);
}

/** A server that says how much it was sent, and one that returns datagrams. */
async function servers() {
  const tcp = net.createServer({ allowHalfOpen: true }, (socket) => {
    let total = 0;
    socket.on('error', () => {});
    socket.on('data', (bytes) => (total += bytes.length));
    socket.on('end', () => socket.end(`got ${total}`));
  });
  const udp = dgram.createSocket('udp4', (bytes, from) => udp.send(`udp:${bytes}`, from.port, from.address));
  tcp.listen(0, '127.0.0.1');
  udp.bind(0, '127.0.0.1');
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  const ports = [(tcp.address() as AddressInfo).port, udp.address().port].map(String);
  const close = () => {
    tcp.close();
    udp.close();
  };
  return { ports, close };
}

/** Sends much and reads to the end; tries again until somebody listens. */
async function ask(port: number): Promise<string> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => (text += bytes));
    socket.end(Buffer.alloc(300_000));
    const failed = await new Promise<boolean>((resolve) => {
      socket.on('error', () => resolve(true));
      socket.on('close', () => resolve(false));
    });
    if (!failed) return text;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Below those that the kernel gives to whoever asks for any. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 10_000); ; port++) {
    const probe = net.createServer().listen(port, '127.0.0.1');
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

describe.skipIf(!canBuild || emulator.unavailable() !== undefined)('the network of the host', () => {
  test('is reached by connections and datagrams', async () => {
    const { ports, close } = await servers();
    const seen = await run(['--net', 'host'], 'client', ...ports);
    close();
    expect(seen.split('\n')).toEqual([
      'connect(s, (void *)&a, sizeof a): ok',
      'peer 1',
      'sent 1000000',
      'answer got 1000000',
      'end 0',
      'connect(s, (void *)&a, sizeof a): EINPROGRESS',
      'poll 1',
      'error 0',
      'connect(s, (void *)&a, sizeof a): ECONNREFUSED',
      'sendto(d, "hey", 3, 0, (void *)&u, sizeof u): ok',
      'udp:hey from it 1',
      'connect(d, (void *)&u, sizeof u): ok',
      'udp:you',
      '',
    ]);
  });

  test('reaches servers of the guest', async () => {
    const port = await freePort();
    const guest = run(['--net', 'host'], 'server', String(port));
    expect(await ask(port)).toBe('bye');
    const asking = dgram.createSocket('udp4');
    asking.send('ping', port, '127.0.0.1');
    const [answer] = await once(asking, 'message');
    asking.close();
    expect(String(answer)).toBe('pong');
    expect(await guest).toContain('from 7f000001\ntotal 300000\nudp ping\n');
  });

  test('is out of reach by default', async () => {
    const { ports, close } = await servers();
    const seen = await run([], 'client', ...ports);
    close();
    expect(seen).toContain('connect(s, (void *)&a, sizeof a): ECONNREFUSED');
    expect(seen).not.toContain('got 1000000');
  });
});
