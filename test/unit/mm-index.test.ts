/** The ordered sets and hole indexes that areas are kept in, against plain sorted arrays. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HolePlaces, HoleSizes } from '../../mm/holes.ts';
import { PageIndex, PageSet } from '../../mm/page-set.ts';

const PAGES = 2 ** 20;
/** Pages near the borders of words, rows and the whole, and any others. */
const page = fc.oneof(
  fc.integer({ min: 0, max: PAGES - 1 }),
  fc.integer({ min: 0, max: 2100 }),
  fc.integer({ min: 0, max: 1023 }).map((row) => row * 1024),
  fc.integer({ min: PAGES - 70, max: PAGES - 1 }),
);

test('a set of pages finds members, predecessors and successors', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(page, { maxLength: 200 }),
      fc.array(page, { maxLength: 50 }),
      fc.func(fc.boolean()),
      (members, asked, stays) => {
        const set = new PageSet();
        for (const member of members) set.add(member);
        for (const member of members) if (!stays(member)) set.delete(member);
        const left = members.filter((member) => stays(member)).sort((a, b) => a - b);
        expect(set.size).toBe(left.length);
        for (const at of [-1, PAGES - 1, ...asked, ...members, ...members.map((member) => member + 1)]) {
          if (at >= 0 && at < PAGES) expect(set.has(at)).toBe(left.includes(at));
          if (at < PAGES) expect(set.atOrBelow(at)).toBe(left.filter((member) => member <= at).at(-1) ?? -1);
          if (at >= 0) expect(set.atOrAbove(at)).toBe(left.find((member) => member >= at) ?? -1);
        }
      },
    ),
  );
});

test('an index by page lists its things in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(page, { maxLength: 200 }), (pages) => {
      const index = new PageIndex<string>();
      for (const each of pages) index.insert(each, `at ${each}`);
      const sorted = [...pages].sort((a, b) => a - b);
      expect([...index]).toEqual(sorted.map((each) => `at ${each}`));
      expect([index.first, index.last]).toEqual(sorted.length === 0 ? [undefined, undefined] : [`at ${sorted[0]}`, `at ${sorted.at(-1)}`]);
      for (const each of pages) index.remove(each);
      expect([index.size, index.first]).toEqual([0, undefined]);
    }),
  );
});

const hole = fc.tuple(page, fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: PAGES - 1 })));

test('holes come smallest first, and of one size lowest first', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(hole, { maxLength: 100, selector: ([place]) => place }),
      fc.integer({ min: 1, max: 2000 }),
      (holes, least) => {
        const sizes = new HoleSizes();
        for (const [place, size] of holes) sizes.add(size, place);
        for (const [place, size] of holes) if (place % 3 === 0) sizes.delete(size, place);
        const expected = holes
          .filter(([place, size]) => place % 3 !== 0 && size >= least)
          .sort(([a, one], [b, other]) => one - other || a - b);
        expect([...sizes.from(least)]).toEqual(expected);
      },
    ),
  );
});

test('the next place with room enough is found in both directions', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(hole, { maxLength: 100, selector: ([place]) => place }),
      fc.array(hole, { maxLength: 50 }),
      (holes, asked) => {
        const places = new HolePlaces();
        for (const [place, size] of holes) places.set(place, size);
        for (const [place] of holes) if (place % 3 === 0) places.set(place, 0);
        const left = holes.filter(([place]) => place % 3 !== 0).sort(([a], [b]) => a - b);
        for (const [at, least] of [...asked, ...holes]) {
          expect(places.get(at)).toBe(left.find(([place]) => place === at)?.[1] ?? 0);
          expect(places.atOrBelow(at, least)).toBe(left.filter(([place, size]) => place <= at && size >= least).at(-1)?.[0] ?? -1);
          expect(places.atOrAbove(at, least)).toBe(left.find(([place, size]) => place >= at && size >= least)?.[0] ?? -1);
        }
      },
    ),
  );
});
