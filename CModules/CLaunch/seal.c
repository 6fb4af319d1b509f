/* A program that clones processes into containers, out of their reach (CVE-2019-5736): what a container can open through
   /proc/<pid>/exe, or run as its own interpreter, lies on a mount that nobody can write to. */
#include "player.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

static const char self[] = "/proc/self/exe";

/* execveat(2) of a descriptor gives its number as the name of what is executed. */
static bool is_executed_by_descriptor(void) {
    const char *name = (const char *)getauxval(AT_EXECFN);
    return name && strncmp(name, "/dev/fd/", 8) == 0;
}

int mlr_program_path(char *const *arguments, char *path, size_t room) {
    // The mount it runs from is attached nowhere, so that the link of procfs has no path to show.
    if (is_executed_by_descriptor() && arguments[0][0] == '/')
        return mlr_append(path, room, 0, arguments[0]) == strlen(arguments[0]) ? 0 : -ENAMETOOLONG;
    ssize_t length = readlink(self, path, room - 1);
    if (length < 0) return -errno;
    path[length] = 0;
    return 0;
}

int mlr_run_sealed(char *const *arguments, char *const *environment) {
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
    char path[PATH_MAX];
    if (result == 0) result = mlr_program_path(arguments, path, sizeof path);
    if (result == 0) {
        size_t count = 0;
        while (arguments[count]) count++;
        char **words = malloc((count + 1) * sizeof *words);
        if (words) {
            memcpy(words, arguments, (count + 1) * sizeof *words);
            words[0] = path;
            execveat(tree, "", words, environment, AT_EMPTY_PATH);
        }
        result = -errno;
        free(words);
    }
    close(tree);
    return result;
}
