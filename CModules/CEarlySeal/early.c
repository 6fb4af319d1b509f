#define _GNU_SOURCE 1
#include "cearlyseal.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

/* A life of milliseconds asks for its memory at once rather than in steps. */
__attribute__((constructor(101))) static void prepare_heap(void) { mallopt(M_TOP_PAD, 1 << 20); }

#ifdef __x86_64__

/* Where the kernel begins when the linker was told so (scripts/build): before libc, whose own beginning asks the processor
   dozens of things, each a trap in a virtual machine, and which would all be asked again by the sealed program. Whatever goes
   wrong here is left to the program itself, which seals itself where it has not been. */
__asm__(".globl mlr_entry\n"
        ".type mlr_entry, @function\n"
        "mlr_entry:\n"
        "    mov %rsp, %rdi\n"
        "    push %rdx\n"
        "    sub $8, %rsp\n"
        "    call mlr_seal_at_entry\n"
        "    add $8, %rsp\n"
        "    pop %rdx\n"
        "    jmp _start\n");

/* Nothing of libc works yet: no errno, no memcpy, no thread-local storage. */
static long call(long number, long a, long b, long c, long d, long e) {
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
}

static bool is(const char *word, const char *other) {
    while (*word && *word == *other) word++, other++;
    return *word == *other;
}

static const char *last_component(const char *path) {
    const char *name = path;
    for (; *path; path++)
        if (*path == '/') name = path + 1;
    return name;
}

/* Whether these words may ask for something that gets processes into containers. One that is taken for a verb and is none only
   costs an execve(2); one that is missed is sealed by the program itself. */
static bool may_enter_containers(char *const *arguments) {
    static const char *const verbs[] = {"create", "run", "exec", "restore"};
    for (size_t i = 1; arguments[i]; i++)
        for (size_t verb = 0; verb < sizeof verbs / sizeof *verbs; verb++)
            if (is(arguments[i], verbs[verb])) return true;
    return false;
}

static uint64_t auxiliary(char **environment, uint64_t kind) {
    while (*environment) environment++;
    for (const uint64_t *entry = (const uint64_t *)(environment + 1); entry[0] != AT_NULL; entry += 2)
        if (entry[0] == kind) return entry[1];
    return ~0ULL;
}

/* As mlr_run_sealed of seal.c does it. */
static void run_sealed(char **arguments, char **environment, size_t count) {
    static const char self[] = "/proc/self/exe";
    // Swift's runtime would look for a program that prints backtraces, in places below the current directory when it runs
    // sealed, and run it in a crash. A crash of this program is told by its signal.
    static char no_backtraces[] = "SWIFT_BACKTRACE=enable=no,swift-backtrace=/nonexistent";
    enum { READ_ONLY = 1, ROOM = 4096 };
    struct statfs system;
    if (call(SYS_statfs, (long)self, (long)&system, 0, 0, 0) < 0 || system.f_flags & READ_ONLY) return;
    uint64_t attributes[4] = {READ_ONLY, 0, 0, 0};
    long result = 0, flags = 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC;
    long tree = call(SYS_open_tree_attr, AT_FDCWD, (long)self, flags, (long)attributes, sizeof attributes);
    if (tree < 0) {
        // Before Linux 6.15 in two steps.
        tree = call(SYS_open_tree, AT_FDCWD, (long)self, flags, 0, 0);
        if (tree < 0) return;
        result = call(SYS_mount_setattr, tree, (long)"", AT_EMPTY_PATH, (long)attributes, sizeof attributes);
    }
    char path[ROOM];
    if (result == 0) result = call(SYS_readlink, (long)self, (long)path, ROOM, 0, 0);
    if (result > 0 && result < ROOM) {
        path[result] = 0;
        char *variables[count + 2];
        variables[0] = no_backtraces;
        for (size_t i = 0; i <= count; i++) {
            variables[i + 1] = environment[i];
            // Else the compiler makes it a call of memcpy.
            __asm__ volatile("" ::: "memory");
        }
        char *name = arguments[0];
        arguments[0] = path;
        call(SYS_execveat, tree, (long)"", (long)arguments, (long)variables, AT_EMPTY_PATH);
        arguments[0] = name;
    }
    call(SYS_close, tree, 0, 0, 0, 0);
}

/* `stack` is what the kernel gives a program (System V ABI): the number of arguments, they, the environment, auxiliary values. */
__attribute__((used)) void mlr_seal_at_entry(long *stack) {
    char **arguments = (char **)(stack + 1), **environment = arguments + stack[0] + 1;
    if (stack[0] < 2 || !may_enter_containers(arguments) || !is(last_component(arguments[0]), "mlrun-oci")) return;
    size_t count = 0;
    while (environment[count]) count++;
    // As setuid(2) leaves it nobody's program, and one with more variables than the stack bears is left alone.
    if (auxiliary(environment, AT_EUID) == 0 && auxiliary(environment, AT_SECURE) == 0 && count < 10000)
        run_sealed(arguments, environment, count);
}

#endif
