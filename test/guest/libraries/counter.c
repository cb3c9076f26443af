/* A library with data, pointers to its own data and functions, and text that says where it is: built as position independent code and not. */
int counter = 7;
int *const place = &counter;
static int twice(int n) { return 2 * n; }
int (*const operation)(int) = twice;
static const char *const words[] = {"none", "one", "two"};

int bump(void) { return operation(++*place); }
const char *word(int n) { return words[n]; }
