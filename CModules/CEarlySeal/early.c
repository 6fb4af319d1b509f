#define _GNU_SOURCE 1
#include "cearlyseal.h"

#include <claunch.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc gives constructors what main gets. The number is the earliest that programs may use; Swift's have none. */
__attribute__((constructor(101))) static void seal(int count, char **arguments) {
    // A test program is linked with the runtime's parts too.
    const char *name = count > 0 ? strrchr(arguments[0], '/') : NULL;
    name = name ? name + 1 : count > 0 ? arguments[0] : "";
    if (strcmp(name, "mlrun-oci") != 0) return;
    // Swift's runtime would look for a program that prints backtraces, below the directory of a bundle when it runs sealed, and run
    // it in a crash. A crash of this program is told by its signal.
    setenv("SWIFT_BACKTRACE", "enable=no,swift-backtrace=/nonexistent", 0);
    mlr_run_sealed_early(arguments, environ);
    // A life of milliseconds asks for its memory at once rather than in steps.
    mallopt(M_TOP_PAD, 1 << 20);
}
