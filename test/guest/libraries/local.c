/* A library with thread-local variables, initialised and zero. */
static __thread int mine = 11;
static __thread int zero[300];
__thread int shown = 5;
int *address_of_mine(void) { return &mine; }
int use(int n) {
  mine += n;
  zero[n] += mine;
  return zero[n] + shown++;
}
