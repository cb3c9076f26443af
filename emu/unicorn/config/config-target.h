/* What Unicorn's configure script would have said of the one target: a 386 with the software MMU, not the x86-64 that the crate builds. */
#define TARGET_I386 1
#define TARGET_NAME "i386"
#define TARGET_ABI_DIR "i386"
#define CONFIG_SOFTMMU 1
