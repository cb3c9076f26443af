/*
 * A C library's allocator under a long random life: sizes from a byte to megabytes (so brk and mmap both serve), realloc that grows and
 * shrinks (mremap in some libraries), aligned blocks, many frees at once (memory goes back). Each block's contents are checked whenever it is
 * touched again. Prints a digest of all that was seen, which must not depend on where blocks lie.
 *     malloc-stress ROUNDS [SEED]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4096 };

struct block {
	unsigned char *bytes;
	size_t size;
	unsigned char mark;
};

static struct block blocks[SLOTS];
static uint32_t state, digest = 2166136261u;
static unsigned long bad, peak, live;

static uint32_t any(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % below;
}

static size_t any_size(void)
{
	switch (any(16)) {
	case 0:
		return any(3 << 20) + 1;
	case 1:
	case 2:
		return any(200000) + 1;
	case 3:
	case 4:
	case 5:
		return any(9000) + 1;
	default:
		return any(600) + 1;
	}
}

static void note(uint32_t value)
{
	digest = (digest ^ value) * 16777619u;
}

/* fills at both ends and at every page, so that each page is there and told apart */
static void fill(struct block *block)
{
	block->mark = any(255) + 1;
	for (size_t at = 0; at < block->size; at += 509)
		block->bytes[at] = block->mark + at / 509;
	block->bytes[block->size - 1] = block->mark;
}

static void check(const struct block *block, size_t size)
{
	for (size_t at = 0; at < size; at += 509)
		if (at != block->size - 1 && block->bytes[at] != (unsigned char)(block->mark + at / 509))
			bad++;
	note(block->bytes[0] + (uint32_t)size);
}

static void allocate(struct block *block)
{
	size_t size = any_size();
	if (any(8) == 0) {
		void *at = NULL;
		size_t alignment = 16u << any(10);
		if (posix_memalign(&at, alignment, size) != 0 || (uintptr_t)at % alignment != 0)
			bad++;
		block->bytes = at;
	} else if (any(4) == 0) {
		block->bytes = calloc(1, size);
		for (size_t at = 0; block->bytes && at < size; at += 61)
			if (block->bytes[at] != 0)
				bad++;
	} else {
		block->bytes = malloc(size);
	}
	block->size = size;
	if (!block->bytes) {
		bad++;
		return;
	}
	live += size;
	if (live > peak)
		peak = live;
	fill(block);
}

static void release(struct block *block)
{
	check(block, block->size);
	free(block->bytes);
	live -= block->size;
	block->bytes = NULL;
}

static void resize(struct block *block)
{
	size_t size = any_size(), kept = size < block->size ? size : block->size;
	check(block, block->size);
	unsigned char *bytes = realloc(block->bytes, size);
	if (!bytes) {
		bad++;
		return;
	}
	block->bytes = bytes;
	for (size_t at = 0; at < kept; at += 509)
		if (at != block->size - 1 && bytes[at] != (unsigned char)(block->mark + at / 509))
			bad++;
	live += size - block->size;
	block->size = size;
	fill(block);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
	state = argc > 2 ? strtoul(argv[2], NULL, 10) : 386;
	for (unsigned long round = 0; round < rounds; round++) {
		struct block *block = &blocks[any(SLOTS)];
		if (!block->bytes)
			allocate(block);
		else if (any(3) == 0)
			resize(block);
		else
			release(block);
		/* now and then nearly all goes: what was given back must come again */
		if (any(20000) == 0)
			for (int n = any(7); n < SLOTS; n += 1 + any(2))
				if (blocks[n].bytes)
					release(&blocks[n]);
		if (live > 300u << 20)
			for (int n = 0; n < SLOTS; n++)
				if (blocks[n].bytes && blocks[n].size > 100000)
					release(&blocks[n]);
	}
	for (int n = 0; n < SLOTS; n++)
		if (blocks[n].bytes)
			release(&blocks[n]);
	printf("rounds %lu, digest %08x, peak %lu, live %lu, bad %lu\n", rounds, digest, peak, live, bad);
	return bad != 0;
}
