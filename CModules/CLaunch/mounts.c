/* Mounts below the container's root, by the new mount API and always onto a descriptor. */
#include "player.h"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#define DEVPTS_MAGIC 0x1cd1

enum { FS_STRING = 1, FS_FLAG = 0, FS_CREATE = 6, CLOEXEC = 1, ATTRIBUTE_READ_ONLY = 1 };

int mlr_set_mount(int descriptor, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } attributes = {set, clear, propagation, 0};
    RESULT(syscall(SYS_mount_setattr, descriptor, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes));
}

int mlr_clone_tree(int descriptor, unsigned flags) {
    RESULT(syscall(SYS_open_tree, descriptor, "", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC | AT_EMPTY_PATH | flags));
}

int mlr_attach(int tree, int target) {
    RESULT(syscall(SYS_move_mount, tree, "", target, "", 0x04 | 0x40 /* both paths empty */));
}

/* What the file system itself says about a failure, better than any errno. */
static void keep_message(struct player *player, int context) {
    char text[244];
    ssize_t got = read(context, text, sizeof text - 1);
    if (got <= 0) return;
    while (got > 0 && text[got - 1] == '\n') got--;
    text[got] = 0;
    mlr_detail(player, got > 2 && text[1] == ' ' ? text + 2 : text);
}

static int configure(int context, const struct mlr_step *step) {
    if (step->source && syscall(SYS_fsconfig, context, FS_STRING, "source", step->source, 0) < 0) return -errno;
    for (const char *const *option = step->list; option && option[0]; option += 2) {
        long result = option[1][0] == '='
                          ? syscall(SYS_fsconfig, context, FS_STRING, option[0], option[1] + 1, 0)
                          : syscall(SYS_fsconfig, context, FS_FLAG, option[0], NULL, 0);
        if (result < 0) return -errno;
    }
    RESULT(syscall(SYS_fsconfig, context, FS_CREATE, NULL, NULL, 0));
}

static int new_mount(struct player *player, const struct mlr_step *step) {
    int context = (int)syscall(SYS_fsopen, step->text, CLOEXEC);
    if (context < 0) return -errno;
    int result = configure(context, step);
    if (result == 0) {
        result = (int)syscall(SYS_fsmount, context, CLOEXEC, step->a);
        if (result < 0) result = -errno;
    }
    if (result < 0) keep_message(player, context);
    close(context);
    return result;
}

int mlr_step_mount(struct player *player, const struct mlr_step *step) {
    uint64_t resolve = step->flags & MLR_TARGET_IS_STRICT ? RESOLVE_NO_SYMLINKS : 0;
    int target = mlr_make_target(player, step->path, false, resolve);
    if (target < 0) {
        if (target == -ELOOP && resolve) mlr_detail(player, "a symbolic link of the image is in its way");
        return target;
    }
    int tree = new_mount(player, step);
    int result = tree < 0 ? tree : 0;
    if (result == 0 && step->b) result = mlr_set_mount(tree, 0, 0, 0, step->b);
    if (result == 0) result = mlr_attach(tree, target);
    if (tree >= 0) close(tree);
    close(target);
    return result;
}

int mlr_step_bind(struct player *player, const struct mlr_step *step) {
    int target = mlr_make_target(player, step->path, step->flags & MLR_TARGET_IS_FILE, 0);
    if (target < 0) return target;
    int result = mlr_attach(step->descriptor, target);
    close(target);
    close(step->descriptor);
    return result;
}

int mlr_step_node(struct player *player, const struct mlr_step *step) {
    const char *name;
    int parent = mlr_make_parent(player, step->path, &name);
    if (parent < 0) return parent;
    dev_t device = makedev((unsigned)step->a, (unsigned)step->b);
    int result = 0;
    if (mknodat(parent, name, step->mode, device) < 0) {
        result = -errno;
        struct stat status;
        // An image without a /dev of its own mounted over it may bring the node along, and a mount may have bound the
        // host's, whose owner is not to be changed.
        if (result == -EEXIST && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            (status.st_mode & S_IFMT) == (step->mode & S_IFMT) && status.st_rdev == device)
            result = 0;
    } else if (fchownat(parent, name, step->owner, step->group, AT_SYMLINK_NOFOLLOW) < 0) result = -errno;
    close(parent);
    return result;
}

int mlr_step_link(struct player *player, const struct mlr_step *step) {
    const char *name;
    int parent = mlr_make_parent(player, step->path, &name);
    if (parent < 0) return parent;
    int result = symlinkat(step->text, parent, name) < 0 && errno != EEXIST ? -errno : 0;
    close(parent);
    return result;
}

int mlr_is_null(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

static int file_mask(struct player *player) {
    if (player->null < 0) {
        int opened = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (opened < 0) return -errno;
        if (!mlr_is_null(opened)) {
            close(opened);
            mlr_detail(player, "/dev/null of the host is not the null device");
            return -ENODEV;
        }
        player->null = opened;
    }
    int tree = mlr_clone_tree(player->null, 0);
    if (tree < 0) return tree;
    // It is the host's own: a container's root must not change its mode or owner. Reading and writing a device needs no
    // writable mount.
    int result = mlr_set_mount(tree, 0, ATTRIBUTE_READ_ONLY, 0, 0);
    if (result == 0) return tree;
    close(tree);
    return result;
}

/* One empty file system serves every masked directory: a mount of its own for each would cost superblocks and shrinkers. */
static int directory_mask(struct player *player, bool *first) {
    *first = player->mask < 0;
    if (!*first) return mlr_clone_tree(player->mask, 0);
    static const char *const options[] = {"mode", "=0555", "size", "=4k", "nr_inodes", "=2", NULL};
    struct mlr_step step = {.text = "tmpfs", .source = "tmpfs", .list = options, .a = 0x01 | 0x02 | 0x04 | 0x08};
    return new_mount(player, &step);
}

int mlr_step_mask(struct player *player, const struct mlr_step *step) {
    int target = mlr_in_root(player, step->path, O_PATH, 0);
    if (target == -ENOENT || target == -ENOTDIR) return 0;
    if (target < 0) return target;
    struct stat status;
    bool first = false;
    int tree = fstat(target, &status) < 0   ? -errno
               : S_ISDIR(status.st_mode) ? directory_mask(player, &first)
                                         : file_mask(player);
    int result = tree < 0 ? tree : mlr_attach(tree, target);
    if (tree >= 0 && first && result == 0) player->mask = tree;
    else if (tree >= 0) close(tree);
    close(target);
    return result;
}

int mlr_step_read_only(struct player *player, const struct mlr_step *step) {
    int target = mlr_in_root(player, step->path, O_PATH, 0);
    if (target == -ENOENT || target == -ENOTDIR) return 0;
    if (target < 0) return target;
    int tree = mlr_clone_tree(target, 0x8000 /* AT_RECURSIVE */);
    int result = tree < 0 ? tree : mlr_set_mount(tree, 0x8000, ATTRIBUTE_READ_ONLY, 0, 0);
    if (result == 0) result = mlr_attach(tree, target);
    if (tree >= 0) close(tree);
    close(target);
    return result;
}

/* The terminal comes from the container's own devpts, and its near side from the far side's descriptor: no name that
   somebody could exchange is ever looked up. */
static int open_terminal(struct player *player, int *controller) {
    int opened = mlr_in_root(player, "dev/pts/ptmx", O_RDWR | O_NOCTTY, 0);
    if (opened < 0) return opened;
    struct statfs system;
    int unlocked = 0, result = 0;
    if (fstatfs(opened, &system) < 0) result = -errno;
    else if (system.f_type != DEVPTS_MAGIC) result = -ENODEV;
    else if (ioctl(opened, TIOCSPTLCK, &unlocked) < 0) result = -errno;
    else if ((result = ioctl(opened, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) result = -errno;
    if (result < 0) close(opened);
    else *controller = opened;
    return result;
}

int mlr_step_console(struct player *player, const struct mlr_step *step) {
    int controller = -1;
    int terminal = open_terminal(player, &controller);
    if (terminal < 0) return terminal;
    struct winsize size = {.ws_row = (unsigned short)step->a, .ws_col = (unsigned short)step->b};
    int result = 0;
    if (size.ws_row && size.ws_col && ioctl(controller, TIOCSWINSZ, &size) < 0) result = -errno;
    if (result == 0 && fchown(terminal, step->owner, (gid_t)-1) < 0) result = -errno;
    if (result == 0 && step->path) {
        int target = mlr_make_target(player, step->path, true, 0);
        int tree = target < 0 ? target : mlr_clone_tree(terminal, 0);
        result = tree < 0 ? tree : mlr_attach(tree, target);
        if (target >= 0) close(target);
        if (tree >= 0) close(tree);
    }
    if (result == 0) mlr_send_report(player, MLR_REPORT_CONSOLE, 0, controller);
    close(controller);
    player->terminal = terminal;
    return result;
}

int mlr_step_attach_root(struct player *player, const struct mlr_step *step) {
    int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0) return -errno;
    int result = mlr_attach(step->descriptor, here);
    close(here);
    player->root = step->descriptor;
    return result;
}

int mlr_step_enter_root(struct player *player) {
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0) return -errno;
    int result = 0;
    if (fchdir(player->root) < 0) result = -errno;
    else if (syscall(SYS_pivot_root, ".", ".") < 0) result = -errno;
    // The old tree lies over the new root now; it must go without taking the host's mounts along.
    else if (fchdir(old) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0)
        result = -errno;
    if (result == 0 && chdir("/") < 0) result = -errno;
    close(old);
    return result;
}
