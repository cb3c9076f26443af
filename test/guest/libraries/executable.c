/* A library that asks for executable stacks by the way it is linked. */
int nothing(void) { return 0; }
