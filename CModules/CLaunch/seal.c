/* A program that clones processes into containers, out of their reach (CVE-2019-5736): what a container can open through
   /proc/<pid>/exe, or run as its own interpreter, lies on a mount that nobody can write to. */
#include "player.h"

#include <sys/prctl.h>
#include <sys/statvfs.h>

int mlr_run_sealed(char *const *arguments, char *const *environment) {
    static const char self[] = "/proc/self/exe";
    struct statvfs system;
    if (statvfs(self, &system) < 0) return -errno;
    if (system.f_flag & ST_RDONLY) {
        // execveat(2) of a descriptor leaves its number as the name that ps(1) shows.
        const char *name = strrchr(arguments[0], '/');
        prctl(PR_SET_NAME, name ? name + 1 : arguments[0], 0, 0, 0);
        return 0;
    }
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, self, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
    if (tree < 0) return -errno;
    int result = mlr_set_mount(tree, 0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0);
    if (result == 0) {
        execveat(tree, "", arguments, environment, AT_EMPTY_PATH);
        result = -errno;
    }
    close(tree);
    return result;
}
