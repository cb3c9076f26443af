/* What Unicorn's configure script would have found out about this host: WebAssembly with emscripten's C library. */
#define CONFIG_TCG 1
#define CONFIG_POSIX 1
#define CONFIG_SYNC_PRIVATE 1
#define CONFIG_INT128 1
