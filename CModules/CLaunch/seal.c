/* A program that clones processes into containers, out of their reach (CVE-2019-5736): what a container can open through
   /proc/<pid>/exe, or run as its own interpreter, lies on a mount that nobody can write to. */
#include "player.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
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

/* execveat(2) of a descriptor leaves its number as the name that ps(1) shows. */
static void restore_name(char *const *arguments) {
    const char *name = strrchr(arguments[0], '/');
    prctl(PR_SET_NAME, name ? name + 1 : arguments[0], 0, 0, 0);
}

/* Comes back only with -errno. */
static int execute(int program, char *const *arguments, char *const *environment) {
    char path[PATH_MAX];
    int result = mlr_program_path(arguments, path, sizeof path);
    if (result < 0) return result;
    size_t count = 0;
    while (arguments[count]) count++;
    char **words = malloc((count + 1) * sizeof *words);
    if (!words) return -ENOMEM;
    memcpy(words, arguments, (count + 1) * sizeof *words);
    words[0] = path;
    execveat(program, "", words, environment, AT_EMPTY_PATH);
    result = -errno;
    free(words);
    return result;
}

int mlr_run_sealed(char *const *arguments, char *const *environment) {
    struct statvfs system;
    if (statvfs(self, &system) < 0) return -errno;
    if (system.f_flag & ST_RDONLY) {
        restore_name(arguments);
        return 0;
    }
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, self, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC);
    if (tree < 0) return -errno;
    int result = mlr_set_mount(tree, 0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0);
    if (result == 0) result = execute(tree, arguments, environment);
    close(tree);
    return result;
}

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static bool may_be_written(int program) {
    struct stat status;
    if (fstat(program, &status) < 0 || status.st_uid == geteuid()) return true;
    return faccessat(AT_FDCWD, self, W_OK, AT_EACCESS) == 0 || errno == ETXTBSY;
}

static int copy_sealed(int program) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int copy = memfd_create("mlrun", flags | 0x10 /* MFD_EXEC */);
    if (copy < 0 && errno == EINVAL) copy = memfd_create("mlrun", flags);
    if (copy < 0) return -errno;
    ssize_t sent;
    do sent = sendfile(copy, program, NULL, 1 << 30);
    while (sent > 0 || (sent < 0 && errno == EINTR));
    if (sent == 0 && fcntl(copy, F_ADD_SEALS, SEALS) == 0) return copy;
    int failure = -errno;
    close(copy);
    return failure;
}

int mlr_run_copied(char *const *arguments, char *const *environment) {
    int program = open(self, O_RDONLY | O_CLOEXEC);
    if (program < 0) return -errno;
    int seals = fcntl(program, F_GET_SEALS), result = 0;
    if (seals >= 0 && (seals & SEALS) == SEALS) {
        restore_name(arguments);
    } else if (may_be_written(program)) {
        int copy = copy_sealed(program);
        result = copy < 0 ? copy : execute(copy, arguments, environment);
        if (copy >= 0) close(copy);
    }
    close(program);
    return result;
}
