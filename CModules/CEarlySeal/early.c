#define _GNU_SOURCE 1
#include "cearlyseal.h"

#include <claunch.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Swift's runtime would look for a program that prints backtraces, in places below the current directory when it runs sealed, and
   run it in a crash. A crash of this program is told by its signal. */
static char no_backtraces[] = "SWIFT_BACKTRACE=enable=no,swift-backtrace=/nonexistent";

/* The environment for the sealed program. This process's own stays where it is: Swift's runtime finds the arguments by it. */
static char **with(char *variable) {
    size_t count = 0;
    while (environ[count]) count++;
    char **result = malloc((count + 2) * sizeof *result);
    if (!result) return environ;
    result[0] = variable;
    memcpy(result + 1, environ, (count + 1) * sizeof *result);
    return result;
}

/* Whether these words may ask for something that gets processes into containers. One that is taken for a verb and is none only
   costs an execve(2); one that is missed is sealed by the program itself, as is one for which it fails here. */
static bool may_enter_containers(char *const *arguments) {
    static const char *const verbs[] = {"create", "run", "exec", "restore"};
    for (size_t i = 1; arguments[i]; i++)
        for (size_t verb = 0; verb < sizeof verbs / sizeof *verbs; verb++)
            if (strcmp(arguments[i], verbs[verb]) == 0) return true;
    return false;
}

/* glibc gives constructors what main gets. The number is the earliest that programs may use; Swift's have none. */
__attribute__((constructor(101))) static void seal(int count, char **arguments) {
    // A test program is linked with the runtime's parts too.
    const char *name = count > 0 ? strrchr(arguments[0], '/') : NULL;
    name = name ? name + 1 : count > 0 ? arguments[0] : "";
    if (strcmp(name, "mlrun-oci") != 0) return;
    // A life of milliseconds asks for its memory at once rather than in steps.
    mallopt(M_TOP_PAD, 1 << 20);
    if (may_enter_containers(arguments) && geteuid() == 0) mlr_run_sealed(arguments, with(no_backtraces));
}
