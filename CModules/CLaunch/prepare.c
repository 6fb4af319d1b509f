/* A mount namespace with next to nothing in it: the host's may hold thousands of mounts, and every new one begins as a copy. */
#include "player.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { STACK_SIZE = 64 * 1024 };

static int new_mount(const char *type, const char *const *options) {
    struct player player = {0};
    struct mlr_step step = {.text = type, .source = "mlrun", .list = options};
    return mlr_new_mount(&player, &step, -1);
}

/* A user namespace may mount only what its mount namespace shows already. */
static const char *const shown[] = {"proc", "sysfs"};

static int show(int root, const char *type) {
    int place = openat(root, type, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0) return -errno;
    int tree = new_mount(type, NULL);
    int result = tree < 0 ? tree : mlr_attach(tree, place);
    if (tree >= 0) close(tree);
    close(place);
    return result;
}

/* What the player looks up before the container's root is entered, and no more. */
static int make_root(void) {
    static const char *const options[] = {"mode", "=0555", "size", "=4k", "nr_inodes", "=8", NULL};
    int tree = new_mount("tmpfs", options);
    if (tree < 0) return tree;
    int result = 0;
    if (mkdirat(tree, "dev", 0555) < 0 || mknodat(tree, "dev/null", S_IFCHR | 0666, makedev(1, 3)) < 0) result = -errno;
    for (size_t i = 0; i < sizeof shown / sizeof *shown && result == 0; i++)
        if (mkdirat(tree, shown[i], 0555) < 0) result = -errno;
    if (result == 0) return tree;
    close(tree);
    return result;
}

static int leave_host(int tree) {
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0) return -errno;
    int result = mlr_attach(tree, old);
    if (result == 0 && (fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)) result = -errno;
    if (result == 0 && (fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0)) result = -errno;
    close(old);
    return result;
}

static int build(void *outcome) {
    int *made = outcome;
    umask(0);
    int isolated = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    int namespace = isolated < 0 ? -1 : open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    int tree = namespace < 0 ? -errno : make_root();
    int result = tree < 0 ? tree : leave_host(tree);
    for (size_t i = 0; i < sizeof shown / sizeof *shown && result == 0; i++) result = show(tree, shown[i]);
    if (result == 0) result = mlr_set_mount(tree, 0, 0x01 | 0x02 | 0x08 /* read-only, nosuid, noexec */, 0, MS_PRIVATE);
    if (tree >= 0) close(tree);
    if (result < 0 && namespace >= 0) close(namespace);
    *made = result < 0 ? result : namespace;
    return 0;
}

int mlr_run_apart(int (*body)(void *), void *argument, int namespaces) {
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    uint64_t all = ~0ULL, before;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    int flags = namespaces | CLONE_VM | CLONE_FILES | CLONE_VFORK;
    int child = clone(body, (char *)stack + STACK_SIZE, flags | SIGCHLD, argument);
    int failure = errno;
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    munmap(stack, STACK_SIZE);
    return child < 0 ? -failure : 0;
}

int mlr_make_mount_namespace(void) {
    int made = -EIO;
    int result = mlr_run_apart(build, &made, CLONE_NEWNS);
    return result < 0 ? result : made;
}
