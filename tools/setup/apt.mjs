// Tools that come as Debian packages: which are missing, and how they are installed or, where we may not, how the user can.
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ask, run } from './run.mjs';
import { SetupError, timed } from './say.mjs';

/** True when `program` is on the PATH. */
export function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder && existsSync(join(folder, program)));
}

/** Installs `packages`, which together give `what`. Throws a SetupError naming the command when that cannot be done here. */
export async function install(what, packages) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (!onPath('apt-get')) {
    throw new SetupError(`${what} is missing, and this system has no apt to install it with`, `on Debian or Ubuntu: ${command}`);
  }
  const root = asRoot();
  if (!root) throw new SetupError(`${what} is missing, and only root may install it`, `sudo ${command}`);
  await timed(`installing ${what} (${packages.join(' ')})`, async () => {
    await mendInterrupted(root);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    const attempt = () => run(root[0], [...root.slice(1), ...command.split(' ').slice(1)], { env });
    const known = packages.every((name) => ask('apt-cache', ['show', '--no-all-versions', name])?.includes('Package:'));
    try {
      if (!known) await update(root);
      await attempt();
    } catch (error) {
      if (!known) throw asMissing(what, command, error);
      // The lists may name versions that the mirror no longer has.
      await update(root);
      await attempt().catch((again) => {
        throw asMissing(what, command, again);
      });
    }
  });
}

/** How apt-get is called with root's rights, or undefined where we have no way to them without asking. */
function asRoot() {
  if (process.getuid?.() === 0) return ['apt-get'];
  if (onPath('sudo') && ask('sudo', ['-n', 'true']) !== undefined)
    return ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'];
  return undefined;
}

async function update(root) {
  // A mirror that is partly out of step still brings usable lists; the install that follows is what decides.
  await run(root[0], [...root.slice(1), 'update', '-q']).catch(() => {});
}

/** An earlier install that was interrupted leaves dpkg refusing every further one. */
async function mendInterrupted(root) {
  const updates = '/var/lib/dpkg/updates';
  if (existsSync(updates) && readdirSync(updates).length > 0) {
    await run(root.length > 1 ? 'sudo' : 'dpkg', root.length > 1 ? ['-n', 'dpkg', '--configure', '-a'] : ['--configure', '-a']);
  }
}

function asMissing(what, command, error) {
  return new SetupError(`${what} is missing, and apt could not install it: ${error.message}`, command);
}
