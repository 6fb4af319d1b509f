/* Mounts of file systems below the container's root, by the new mount API and always onto a descriptor. */
#include "player.h"

#include <linux/openat2.h>
#include <sys/mount.h>

enum { FS_FLAG = 0, FS_STRING = 1, FS_CREATE = 6, FS_RECONFIGURE = 7, CLOEXEC = 1 };
enum { ATTRIBUTE_READ_ONLY = 1, OPEN_TREE_CLONE_ = 1, DEEP = 0x8000 /* AT_RECURSIVE */ };

int mlr_set_mount(int descriptor, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct mlr_attributes attributes = {set, clear, propagation, 0};
    RESULT(syscall(SYS_mount_setattr, descriptor, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes));
}

int mlr_clone_tree(int descriptor, unsigned flags) {
    RESULT(syscall(SYS_open_tree, descriptor, "", OPEN_TREE_CLONE_ | O_CLOEXEC | AT_EMPTY_PATH | flags));
}

int mlr_open_changed(int directory, const char *path, unsigned flags, struct mlr_attributes attributes) {
    RESULT(syscall(SYS_open_tree_attr, directory, path, flags, &attributes, sizeof attributes));
}

int mlr_clone_changed(int descriptor, unsigned flags, uint64_t set, uint64_t propagation) {
    struct mlr_attributes attributes = {set, 0, propagation, 0};
    int tree = mlr_open_changed(descriptor, "", OPEN_TREE_CLONE_ | O_CLOEXEC | AT_EMPTY_PATH | flags, attributes);
    // A sandbox that does not know the call may also say that it is forbidden.
    if (tree != -ENOSYS && tree != -EPERM) return tree;
    tree = mlr_clone_tree(descriptor, flags);
    if (tree < 0) return tree;
    int result = mlr_set_mount(tree, flags, set, 0, propagation);
    if (result == 0) return tree;
    close(tree);
    return result;
}

int mlr_attach(int tree, int target) {
    RESULT(syscall(SYS_move_mount, tree, "", target, "", 0x04 | 0x40 /* both paths empty */));
}

/* What the file system itself says about a failure, better than any errno. */
static void keep_message(struct player *player, int context) {
    char text[240];
    ssize_t got = read(context, text, sizeof text - 1);
    if (got <= 0) return;
    while (got > 0 && text[got - 1] == '\n') got--;
    text[got] = 0;
    mlr_detail(player, got > 2 && text[1] == ' ' ? text + 2 : text);
}

/* A directory for temporary files is expected to stay one when a file system covers it: its mode is taken over. */
static int set_mode(int context, int target) {
    struct stat status;
    if (fstat(target, &status) < 0) return -errno;
    char digits[5] = {0};
    for (int i = 0; i < 4; i++) digits[i] = (char)('0' + (status.st_mode >> (3 * (3 - i)) & 7));
    RESULT(syscall(SYS_fsconfig, context, FS_STRING, "mode", digits, 0));
}

static int set_options(int context, const struct mlr_step *step) {
    for (const char *const *option = step->list; option && option[0]; option += 2) {
        long result = option[1][0] == '='
                          ? syscall(SYS_fsconfig, context, FS_STRING, option[0], option[1] + 1, 0)
                          : syscall(SYS_fsconfig, context, FS_FLAG, option[0], NULL, 0);
        if (result < 0) return -errno;
    }
    return 0;
}

static int configure(int context, const struct mlr_step *step, int target) {
    if (step->source && syscall(SYS_fsconfig, context, FS_STRING, "source", step->source, 0) < 0) return -errno;
    int result = step->flags & MLR_MOUNT_TAKES_MODE ? set_mode(context, target) : 0;
    if (result == 0) result = set_options(context, step);
    if (result < 0) return result;
    RESULT(syscall(SYS_fsconfig, context, FS_CREATE, NULL, NULL, 0));
}

static int map_owners(int tree, int user_namespace) {
    struct mlr_attributes attributes = {0x00100000 /* MOUNT_ATTR_IDMAP */, 0, 0, (uint64_t)user_namespace};
    RESULT(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes));
}

int mlr_new_mount(struct player *player, const struct mlr_step *step, int target) {
    int context = (int)syscall(SYS_fsopen, step->text, CLOEXEC);
    if (context < 0) {
        if (errno == ENODEV) mlr_detail(player, "the kernel has no file system of this type");
        return -errno;
    }
    int result = configure(context, step, target);
    if (result == 0) {
        result = (int)syscall(SYS_fsmount, context, CLOEXEC, step->a);
        if (result < 0) result = -errno;
    }
    if (result < 0) keep_message(player, context);
    close(context);
    return result;
}

/* Flags that fsconfig(2) knows no name for take the old call, which resolves no path when it is told ".". */
static int old_mount(struct player *player, const struct mlr_step *step, int target) {
    if (fchdir(target) < 0) return -errno;
    if (mount(step->source, ".", step->text, step->d, step->data) < 0) return -errno;
    return mlr_in_root(player, step->path, O_PATH, 0);
}

static int set_propagation(int tree, uint64_t first, uint64_t second) {
    int result = first ? mlr_set_mount(tree, first & MS_REC ? DEEP : 0, 0, 0, first & ~(uint64_t)MS_REC) : 0;
    if (result == 0 && second) result = mlr_set_mount(tree, second & MS_REC ? DEEP : 0, 0, 0, second & ~(uint64_t)MS_REC);
    return result;
}

int mlr_step_mount(struct player *player, const struct mlr_step *step) {
    int target = mlr_mount_target(player, step, false);
    if (target < 0) return target;
    bool old = step->flags & MLR_MOUNT_IS_OLD;
    int tree = old ? old_mount(player, step, target) : mlr_new_mount(player, step, target);
    int result = tree < 0 ? tree : 0;
    if (result == 0 && step->descriptor >= 0) {
        result = map_owners(tree, step->descriptor);
        if (result < 0) mlr_detail(player, "this kernel cannot map the owners of files of this file system");
    }
    if (result == 0 && step->flags & MLR_MOUNT_COPIES_UP) {
        result = mlr_copy_up(target, tree);
        if (result < 0) mlr_detail(player, "what it covers cannot be copied into it (tmpcopyup)");
    }
    if (result == 0) result = set_propagation(tree, step->b, step->c);
    if (result == 0 && !old) result = mlr_attach(tree, target);
    if (result == 0 && step->slot) *step->slot = tree;
    else if (tree >= 0) close(tree);
    close(target);
    return result;
}

int mlr_step_mount_read_only(const struct mlr_step *step) {
    int result = mlr_set_mount(*step->slot, 0, ATTRIBUTE_READ_ONLY, 0, 0);
    close(*step->slot);
    return result;
}

static int reconfigure(struct player *player, int target, const struct mlr_step *step) {
    int context = (int)syscall(SYS_fspick, target, "", 1 /* FSPICK_CLOEXEC */ | 8 /* FSPICK_EMPTY_PATH */);
    if (context < 0) return -errno;
    int result = set_options(context, step);
    if (result == 0 && syscall(SYS_fsconfig, context, FS_RECONFIGURE, NULL, NULL, 0) < 0) result = -errno;
    if (result < 0) keep_message(player, context);
    close(context);
    return result;
}

/* Only what is named changes: a mount that was nosuid stays so. */
int mlr_step_remount(struct player *player, const struct mlr_step *step) {
    int follow = step->flags & MLR_TARGET_IS_LINK ? O_NOFOLLOW : 0;
    int target = mlr_in_root(player, step->path, O_PATH | follow, 0);
    if (target < 0) return target;
    int result = step->list && step->list[0] ? reconfigure(player, target, step) : 0;
    if (result == 0) {
        result = mlr_set_mount(target, 0, step->a, step->b, 0);
        if (result == -EINVAL) mlr_detail(player, "nothing is mounted there");
    }
    if (result == 0) result = set_propagation(target, step->c, step->d);
    close(target);
    return result;
}
