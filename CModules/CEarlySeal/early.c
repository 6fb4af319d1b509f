#include "cearlyseal.h"

#include <claunch.h>
#include <string.h>

/* glibc gives constructors what main gets. The number is the earliest that programs may use; Swift's have none. */
__attribute__((constructor(101))) static void seal(int count, char **arguments, char **environment) {
    // A test program is linked with the runtime's parts too.
    const char *name = count > 0 ? strrchr(arguments[0], '/') : NULL;
    name = name ? name + 1 : count > 0 ? arguments[0] : "";
    if (strcmp(name, "mlrun-oci") == 0) mlr_run_sealed_early(arguments, environment);
}
