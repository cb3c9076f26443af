/*
 * Runs generated i386 instruction sequences on the bare CPU: test cases on stdin, what the CPU made of them on stdout (formats: protocol.ts).
 * Freestanding and without libc, so that nothing but the case touches segment registers, FPU or memory between entry and the ending signal.
 *
 * Build: gcc -m32 -O2 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic -no-pie -msse2 -z noexecstack -Wl,-Ttext-segment=0x60000000
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum { SYS_exit = 1, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_munmap = 91, SYS_setitimer = 104, SYS_modify_ldt = 123,
	SYS_mprotect = 125, SYS_prctl = 172, SYS_rt_sigaction = 174, SYS_sigaltstack = 186, SYS_mmap2 = 192, SYS_set_thread_area = 243, SYS_seccomp = 354 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGALRM = 14, SIGSYS = 31 };

long call6(long nr, long a, long b, long c, long d, long e, long f);
__asm__(
	"call6:\n"
	"	pushl %ebp; pushl %edi; pushl %esi; pushl %ebx\n"
	"	movl 20(%esp), %eax; movl 24(%esp), %ebx; movl 28(%esp), %ecx; movl 32(%esp), %edx\n"
	"	movl 36(%esp), %esi; movl 40(%esp), %edi; movl 44(%esp), %ebp\n"
	"	int $0x80\n"
	"	popl %ebx; popl %esi; popl %edi; popl %ebp\n"
	"	ret\n");

static long call3(long nr, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

static long call4(long nr, long a, long b, long c, long d)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return result;
}

void *memcpy(void *to, const void *from, unsigned long count)
{
	void *result = to;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	return result;
}

void *memset(void *to, int value, unsigned long count)
{
	void *result = to;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
	return result;
}

static void die(const char *message)
{
	u32 count = 0;
	while (message[count]) count++;
	call3(SYS_write, 2, (long)message, count);
	call3(SYS_write, 2, (long)"\n", 1);
	call3(SYS_exit, 99, 0, 0);
}

/* ---- streams ---- */

enum { BUFFER = 32768 };
static u8 in_buffer[BUFFER], out_buffer[BUFFER];
static u32 in_at, in_count, out_count;

/* Reads exactly `count` bytes; returns 0 at the end of input before the first byte. */
static int take(void *to, u32 count)
{
	u8 *at = to;
	while (count) {
		if (in_at == in_count) {
			long got = call3(SYS_read, 0, (long)in_buffer, BUFFER);
			if (got <= 0) {
				if (at == (u8 *)to) return 0;
				die("native-runner: input ends inside a record");
			}
			in_at = 0;
			in_count = got;
		}
		u32 part = in_count - in_at < count ? in_count - in_at : count;
		memcpy(at, in_buffer + in_at, part);
		at += part;
		in_at += part;
		count -= part;
	}
	return 1;
}

static void flush(void)
{
	u32 at = 0;
	while (at < out_count) {
		long put = call3(SYS_write, 1, (long)(out_buffer + at), out_count - at);
		if (put <= 0) call3(SYS_exit, 98, 0, 0);
		at += put;
	}
	out_count = 0;
}

static void put(const void *from, u32 count)
{
	const u8 *at = from;
	while (count) {
		if (out_count == BUFFER) flush();
		u32 part = BUFFER - out_count < count ? BUFFER - out_count : count;
		memcpy(out_buffer + out_count, at, part);
		out_count += part;
		at += part;
		count -= part;
	}
}

static u32 take_word(void)
{
	u32 word;
	if (!take(&word, 4)) die("native-runner: header is short");
	return word;
}

/* ---- the stage: memory and descriptors that all cases share ---- */

enum { MAX_REGIONS = 8, PATTERN_BYTES = 262144, CODE_LIMIT = 1024, FILL = 0xcc };
enum { REGION_DATA = 0, REGION_CODE = 1, REGION_PATCHABLE = 2 };
struct region { u32 base, size, prot, kind; };
static struct region regions[MAX_REGIONS];
static u32 region_count, pattern_count, pattern_size;
static u8 *patterns;
struct user_desc { u32 entry, base, limit, flags; };

static void map_regions(void)
{
	region_count = take_word();
	if (region_count > MAX_REGIONS) die("native-runner: too many regions");
	for (u32 i = 0; i < region_count; i++) {
		struct region *region = &regions[i];
		take(region, sizeof *region);
		/* MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE */
		long at = call6(SYS_mmap2, region->base, region->size, 7, 0x8032, -1, 0);
		if ((u32)at != region->base) die("native-runner: cannot map a region");
		memset((void *)region->base, FILL, region->size);
		if (region->kind == REGION_DATA) pattern_size += region->size;
	}
	pattern_count = take_word();
	u32 bytes = pattern_count * pattern_size;
	if (bytes > PATTERN_BYTES) die("native-runner: too many patterns");
	patterns = (u8 *)call6(SYS_mmap2, 0x60400000, bytes, 3, 0x8032, -1, 0);
	take(patterns, bytes);
}

static void copy_pattern(const u8 *pattern)
{
	for (u32 i = 0; i < region_count; i++) {
		if (regions[i].kind != REGION_DATA) continue;
		memcpy((void *)regions[i].base, pattern, regions[i].size);
		pattern += regions[i].size;
	}
}

static void protect_regions(void)
{
	for (u32 i = 0; i < region_count; i++) call3(SYS_mprotect, regions[i].base, regions[i].size, regions[i].prot);
}

static void make_descriptors(void)
{
	struct user_desc desc;
	u32 count = take_word();
	while (count--) {
		take(&desc, sizeof desc);
		if (call3(SYS_set_thread_area, (long)&desc, 0, 0) != 0) die("native-runner: set_thread_area");
	}
	count = take_word();
	while (count--) {
		take(&desc, sizeof desc);
		if (call3(SYS_modify_ldt, 0x11, (long)&desc, sizeof desc) != 0) die("native-runner: modify_ldt");
	}
}

/* ---- one case ---- */

extern char __executable_start[], _end[], etext[];

struct input { u32 pattern, target, code_bytes, regs[8], eflags, selectors[6]; u8 fx[288]; };
struct output { u32 signal, vector, error, address, eip, eflags, regs[8], selectors[6]; u8 fx[288]; u32 changes; };
static struct input input;
static struct output output;
static u8 code[CODE_LIMIT];
static u32 case_number, case_at_tick = ~0u;

/* What enter_case loads; esp and ss together for lss. */
u8 load_fx[512] __attribute__((aligned(64)));
u32 load_regs[8], load_eflags, load_es, load_ds, load_fs, load_gs, load_target;
struct { u32 esp, ss; } load_stack __attribute__((aligned(8)));
u32 saved_esp;

void enter_case(void);
__asm__(
	".globl enter_case\n"
	"enter_case:\n"
	"	pushl %ebp; pushl %ebx; pushl %esi; pushl %edi\n"
	"	movl %esp, saved_esp\n"
	"	fxrstor load_fx\n"
	"	movl load_gs, %eax; movw %ax, %gs\n"
	"	movl load_fs, %eax; movw %ax, %fs\n"
	"	movl load_es, %eax; movw %ax, %es\n"
	"	pushl load_eflags; popfl\n"
	"	movl load_regs, %eax\n"
	"	movl load_regs+4, %ecx\n"
	"	movl load_regs+8, %edx\n"
	"	movl load_regs+12, %ebx\n"
	"	movl load_regs+20, %ebp\n"
	"	movl load_regs+24, %esi\n"
	"	movl load_regs+28, %edi\n"
	"	lss %cs:load_stack, %esp\n"
	"	movw %cs:load_ds, %ds\n"
	"	jmp *%cs:load_target\n"
	".globl leave_case\n"
	"leave_case:\n"
	"	movl saved_esp, %esp\n"
	"	popl %edi; popl %esi; popl %ebx; popl %ebp\n"
	"	ret\n"
	/* The kernel hands over the interrupted AC flag: clear it before C code touches memory. */
	".globl on_signal\n"
	"on_signal:\n"
	"	pushl $2; popfl\n"
	"	jmp handle\n"
	".globl return_from_signal\n"
	"return_from_signal:\n"
	"	movl $173, %eax; int $0x80\n");
void leave_case(void) __attribute__((noreturn));
void on_signal(void);
void return_from_signal(void);

/* struct sigcontext_32 of the kernel's asm/sigcontext.h, inside struct ucontext_ia32. */
struct context {
	u32 uc_flags, uc_link, uc_stack[3];
	u32 gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, trapno, err, eip, cs, eflags, esp_at_signal, ss;
	u8 *fpstate;
	u32 oldmask, cr2;
};
enum { FXSAVE_IN_FPSTATE = 112 };

__attribute__((used)) void handle(int signal, void *info, struct context *context)
{
	(void)info;
	if (signal == SIGALRM) {
		u32 before = case_at_tick;
		case_at_tick = case_number;
		if (before != case_number) return;
	}
	if (!saved_esp || (context->eip >= (u32)__executable_start && context->eip < (u32)etext)) {
		static const char digits[] = "0123456789abcdef";
		char text[] = "native-runner: signal in the runner itself at 00000000";
		for (int i = 0; i < 8; i++) text[sizeof text - 2 - i] = digits[context->eip >> 4 * i & 15];
		die(text);
	}
	output.signal = signal;
	output.vector = context->trapno;
	output.error = context->err;
	output.address = context->cr2;
	output.eip = context->eip;
	output.eflags = context->eflags;
	u32 regs[8] = { context->eax, context->ecx, context->edx, context->ebx, context->esp_at_signal, context->ebp, context->esi, context->edi };
	memcpy(output.regs, regs, sizeof regs);
	u32 selectors[6] = { context->es & 0xffff, context->cs & 0xffff, context->ss & 0xffff, context->ds & 0xffff, context->fs & 0xffff, context->gs & 0xffff };
	memcpy(output.selectors, selectors, sizeof selectors);
	memcpy(output.fx, context->fpstate + FXSAVE_IN_FPSTATE, sizeof output.fx);
	leave_case();
}

struct kernel_sigaction { void *handler; u32 flags; void *restorer; u32 mask[2]; };
static u8 signal_stack[32768] __attribute__((aligned(64)));

static void catch_signals(void)
{
	static const int caught[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGALRM, SIGSYS };
	u32 stack[3] = { (u32)signal_stack, 0, sizeof signal_stack };
	/* SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | SA_RESTORER: handlers are left without sigreturn. */
	struct kernel_sigaction action = { (void *)on_signal, 0x4 | 0x08000000 | 0x40000000 | 0x10000000 | 0x04000000, (void *)return_from_signal, { 0, 0 } };
	call3(SYS_sigaltstack, (long)stack, 0, 0);
	for (u32 i = 0; i < sizeof caught / sizeof *caught; i++) call4(SYS_rt_sigaction, caught[i], (long)&action, 0, 8);
	/* A case that runs through two ticks of a second is endless. */
	u32 timer[4] = { 1, 0, 1, 0 };
	call3(SYS_setitimer, 0, (long)timer, 0);
}

static struct region *region_of(u32 addr)
{
	for (u32 i = 0; i < region_count; i++)
		if (addr >= regions[i].base && addr - regions[i].base < regions[i].size) return &regions[i];
	die("native-runner: code outside of all regions");
	return 0;
}

static void place_code(struct region *region, int restore)
{
	if (region->kind == REGION_CODE) call3(SYS_mprotect, region->base, region->size, 3);
	if (restore) memset((void *)input.target, FILL, input.code_bytes);
	else memcpy((void *)input.target, code, input.code_bytes);
	if (region->kind == REGION_CODE) call3(SYS_mprotect, region->base, region->size, region->prot);
}

struct change { u32 addr, value; };
static struct change changes[512];
static u32 changes_held, changes_total;

static void note_change(u32 addr, u32 value)
{
	if (changes_held < sizeof changes / sizeof *changes) changes[changes_held++] = (struct change){ addr, value };
	changes_total++;
}

/* Finds words that differ from the pattern, and puts the pattern back. */
static void collect_data(const u8 *pattern)
{
	for (u32 i = 0; i < region_count; i++) {
		if (regions[i].kind != REGION_DATA) continue;
		u32 *now = (u32 *)regions[i].base;
		const u32 *was = (const u32 *)pattern;
		pattern += regions[i].size;
		for (u32 at = 0; at < regions[i].size / 4; at += 16) {
			u32 differ = 0;
			for (u32 j = 0; j < 16; j++) differ |= now[at + j] ^ was[at + j];
			if (!differ) continue;
			for (u32 j = 0; j < 16; j++) {
				if (now[at + j] == was[at + j]) continue;
				note_change((u32)&now[at + j], now[at + j]);
				now[at + j] = was[at + j];
			}
		}
	}
}

/* Code pages that the case itself may write: compared with the fill and the case's own code. */
static void collect_patchable(void)
{
	for (u32 i = 0; i < region_count; i++) {
		if (regions[i].kind != REGION_PATCHABLE) continue;
		for (u32 addr = regions[i].base; addr < regions[i].base + regions[i].size; addr += 4) {
			u32 now = *(u32 *)addr, was = 0;
			for (u32 j = 0; j < 4; j++) {
				u32 offset = addr + j - input.target;
				was |= (u32)(offset < input.code_bytes ? code[offset] : FILL) << (8 * j);
			}
			if (now != was) note_change(addr, now);
			*(u32 *)addr = 0x01010101u * FILL;
		}
	}
}

static void run_case(void)
{
	if (input.code_bytes > CODE_LIMIT) die("native-runner: code is too long");
	take(code, input.code_bytes);
	struct region *region = region_of(input.target);
	const u8 *pattern = patterns + (input.pattern % pattern_count) * pattern_size;
	place_code(region, 0);
	memcpy(load_fx, input.fx, sizeof input.fx);
	memcpy(load_regs, input.regs, sizeof load_regs);
	load_eflags = input.eflags;
	load_es = input.selectors[0];
	load_stack.ss = input.selectors[2];
	load_ds = input.selectors[3];
	load_fs = input.selectors[4];
	load_gs = input.selectors[5];
	load_stack.esp = input.regs[4];
	load_target = input.target;
	enter_case();
	changes_held = changes_total = 0;
	collect_data(pattern);
	if (region->kind == REGION_PATCHABLE) collect_patchable();
	else place_code(region, 1);
	output.changes = changes_total;
	put(&output, sizeof output);
	put(changes, changes_held * sizeof *changes);
}

/* ---- isolation: a case that strays must meet the same nothing as in the emulator ---- */

/* Unmaps stack, vdso and whatever else is not the runner's own image. Runs on the runner's own stack. */
static void unmap_everything_else(void)
{
	long fd = call3(SYS_open, (long)"/proc/self/maps", 0, 0);
	u32 got = 0, bases[64], tops[64], count = 0, at = 0;
	for (long part; (part = call3(SYS_read, fd, (long)(out_buffer + got), BUFFER - 1 - got)) > 0;) got += part;
	call3(SYS_close, fd, 0, 0);
	while (at < got && count < 64) {
		u32 bounds[2] = { 0, 0 };
		for (u32 i = 0; i < 2; i++, at++)
			for (; out_buffer[at] != '-' && out_buffer[at] != ' '; at++)
				bounds[i] = bounds[i] << 4 | (out_buffer[at] <= '9' ? out_buffer[at] - '0' : out_buffer[at] - 'a' + 10);
		bases[count] = bounds[0];
		tops[count++] = bounds[1];
		while (at < got && out_buffer[at++] != '\n') {}
	}
	for (u32 i = 0; i < count; i++)
		if (tops[i] <= (u32)__executable_start || bases[i] >= (u32)_end) call3(SYS_munmap, bases[i], tops[i] - bases[i], 0);
}

/* Lets only the runner's own text make system calls; an int 0x80 elsewhere becomes SIGSYS. Fails where there is no seccomp. */
static void forbid_system_calls(void)
{
	struct { u16 code; u8 jt, jf; u32 k; } filter[] = {
		{ 0x20, 0, 0, 8 },				/* A = low half of the instruction pointer */
		{ 0x35, 0, 2, (u32)__executable_start },	/* if A >= start */
		{ 0x35, 1, 0, (u32)etext },			/*   and A < end */
		{ 0x06, 0, 0, 0x7fff0000 },			/*     allow */
		{ 0x06, 0, 0, 0x00030000 },			/* else SIGSYS */
	};
	struct { u16 count; void *filter; } program = { sizeof filter / sizeof *filter, filter };
	call6(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0, 0);
	call3(SYS_seccomp, 1, 0, (long)&program);
}

static u8 own_stack[8192] __attribute__((aligned(64), used));

__attribute__((used)) void start(u32 arguments)
{
	/* Any argument: do not isolate (where another emulator needs its own mappings). */
	if (arguments < 2) unmap_everything_else();
	catch_signals();
	map_regions();
	make_descriptors();
	copy_pattern(patterns);
	protect_regions();
	if (arguments < 2) forbid_system_calls();
	u32 last_pattern = 0;
	for (; take(&input, sizeof input); case_number++) {
		u32 pattern = input.pattern % pattern_count;
		if (pattern != last_pattern) {
			for (u32 i = 0; i < region_count; i++) call3(SYS_mprotect, regions[i].base, regions[i].size, 3);
			copy_pattern(patterns + pattern * pattern_size);
			protect_regions();
			last_pattern = pattern;
		}
		run_case();
	}
	flush();
	call3(SYS_exit, 0, 0, 0);
}

__asm__(
	".globl _start\n"
	"_start:\n"
	"	movl (%esp), %eax\n"
	"	movl $own_stack+8192-12, %esp\n"
	"	pushl %eax\n"
	"	call start\n");
