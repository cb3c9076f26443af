/* The guest of the examples: counts words. build: gcc -m32 -static -o words words.c; use: words [IN [OUT]], standard input and output by default. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *words[1000];
static int counts[1000], used;

static void count(const char *word) {
  for (int i = 0; i < used; i++)
    if (strcmp(words[i], word) == 0) {
      counts[i]++;
      return;
    }
  if (used == 1000) exit(3);
  words[used] = strdup(word);
  counts[used++] = 1;
}

int main(int argc, char **argv) {
  FILE *in = argc > 1 ? fopen(argv[1], "r") : stdin, *out = argc > 2 ? fopen(argv[2], "w") : stdout;
  if (!in || !out) return perror("words"), 2;
  char word[100];
  while (fscanf(in, "%99s", word) == 1) count(word);
  for (int i = 0; i < used; i++) fprintf(out, "%d %s\n", counts[i], words[i]);
  fprintf(stderr, "%d different words\n", used);
  return fclose(out) == 0 ? 0 : 2;
}
