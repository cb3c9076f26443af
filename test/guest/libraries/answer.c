/* Says which of several libraries of one name it is; begins and ends in turn with others. */
#include "saw.h"
#ifndef ANSWER
#define ANSWER "first"
#endif
const char *answer(void) { return ANSWER; }
__attribute__((constructor)) static void begin(void) { saw("begin %s", ANSWER); }
__attribute__((destructor)) static void end(void) { saw("end %s", ANSWER); }
