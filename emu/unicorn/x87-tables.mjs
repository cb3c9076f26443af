// Prints x87-tables.h: the constants of the transcendental instructions, as 128-bit fractions computed in exact integer
// arithmetic. Run `node emu/unicorn/x87-tables.mjs > emu/unicorn/x87-tables.h` after changing it.

const GUARD = 64n;
const ONE = 1n << (128n + GUARD);

/** The value (scaled by ONE) as a Wide initialiser, rounded to 128 fraction bits. */
function fraction(value) {
  const rounded = (value + (1n << (GUARD - 1n))) >> GUARD;
  const word = (n) => `0x${(n & 0xffff_ffff_ffff_ffffn).toString(16).padStart(16, '0')}ULL`;
  return `{ ${word(rounded >> 64n)}, ${word(rounded)} }`;
}

/** 1/n! for n = first, first + step, ... */
function inverseFactorials(first, step, count) {
  const rows = [];
  let factorial = 1n;
  for (let n = 1n; rows.length < count; n++) {
    factorial *= n;
    if (n >= first && (n - first) % step === 0n) rows.push(ONE / factorial);
  }
  return rows;
}

/** atan(p / q) by its power series; p < q, or 1/1 by Machin's formula. */
function arctangent(p, q) {
  if (p === q) return 4n * arctangent(1n, 5n) - arctangent(1n, 239n);
  let term = (ONE * p) / q;
  let sum = 0n;
  for (let n = 1n; term !== 0n; n += 2n) {
    sum += n % 4n === 1n ? term / n : -(term / n);
    term = (term * p * p) / (q * q);
  }
  return sum;
}

/** ln 2 = 2 atanh(1/3). */
function logarithm2() {
  let term = ONE / 3n;
  let sum = 0n;
  for (let n = 1n; term !== 0n; n += 2n) {
    sum += term / n;
    term /= 9n;
  }
  return 2n * sum;
}

function table(name, comment, rows) {
  const lines = rows.map((row) => `    ${fraction(row)},`).join('\n');
  return `/* ${comment} */\nstatic const Wide ${name}[${rows.length}] = {\n${lines}\n};\n`;
}

const odd = (count) => Array.from({ length: count }, (_, i) => ONE / BigInt(2 * i + 3));
const ln2 = logarithm2();
const parts = [
  '/* Written by x87-tables.mjs: constants as fractions of 2^128. */\n',
  table('sin_terms', '1/3!, 1/5!, 1/7!, ...', inverseFactorials(3n, 2n, 14)),
  table('cos_terms', '1/2!, 1/4!, 1/6!, ...', inverseFactorials(2n, 2n, 15)),
  table('exp_terms', '1/2!, 1/3!, 1/4!, ...', inverseFactorials(2n, 1n, 29)),
  table('odd_terms', '1/3, 1/5, 1/7, ...', odd(24)),
  table('atan_table', 'atan(k/16)', Array.from({ length: 17 }, (_, k) => arctangent(BigInt(k), 16n))),
  table('ln2', 'ln 2', [ln2]),
  table('half_log2e', '1 / (2 ln 2)', [(ONE * ONE) / (2n * ln2)]),
  table('quarter_pi', 'pi / 4', [arctangent(1n, 1n)]),
];
process.stdout.write(parts.join('\n'));
