/* Asks for an answer, directly and through the other definitions behind the first. */
#include "saw.h"
#include <dlfcn.h>
const char *answer(void);
__attribute__((weak)) const char *unanswered(void);

int main(void) {
  saw("the answer is %s", answer());
  const char *(*next)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "answer");
  saw("by name it is %s", next());
  YES(unanswered == NULL);
  return 0;
}
