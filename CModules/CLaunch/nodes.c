/* Device nodes, links, and what hides or protects paths of the container. */
#include "player.h"

#include <sys/sysmacros.h>

enum { ATTRIBUTE_READ_ONLY = 1, DEEP = 0x8000 /* AT_RECURSIVE */ };

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
    return result;
}

int mlr_step_link(struct player *player, const struct mlr_step *step) {
    const char *name;
    int parent = mlr_make_parent(player, step->path, &name);
    if (parent < 0) return parent;
    return symlinkat(step->text, parent, name) < 0 && errno != EEXIST ? -errno : 0;
}

int mlr_is_null(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

/* The host's null device as a mount of its own. */
static int null_mask(struct player *player) {
    int opened = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (opened < 0) return -errno;
    if (!mlr_is_null(opened)) {
        close(opened);
        mlr_detail(player, "/dev/null of the host is not the null device");
        return -ENODEV;
    }
    int tree = mlr_clone_tree(opened, 0);
    close(opened);
    if (tree < 0) return tree;
    // It is the host's own: a container's root must not change its mode or owner. Reading and writing a device needs no
    // writable mount.
    int result = mlr_set_mount(tree, 0, ATTRIBUTE_READ_ONLY, 0, 1 << 18 /* MS_PRIVATE */);
    if (result == 0) return tree;
    close(tree);
    return result;
}

/* Kernels before 6.15 clone no mount that is attached nowhere: the first mask is attached, the others are its clones. */
static int file_mask(struct player *player, bool *first) {
    *first = player->null < 0;
    return *first ? null_mask(player) : mlr_clone_tree(player->null, 0);
}

/* One empty file system serves every masked directory: a mount of its own for each would cost superblocks and shrinkers. */
static int directory_mask(struct player *player, bool *first) {
    *first = player->mask < 0;
    if (!*first) return mlr_clone_tree(player->mask, 0);
    static const char *const options[] = {"mode", "=0555", "size", "=4k", "nr_inodes", "=2", NULL};
    struct mlr_step step = {.text = "tmpfs", .source = "tmpfs", .list = options, .a = 0x01 | 0x02 | 0x04 | 0x08};
    return mlr_new_mount(player, &step, -1);
}

int mlr_step_mask(struct player *player, const struct mlr_step *step) {
    int target = mlr_in_root(player, step->path, O_PATH, 0);
    if (target == -ENOENT || target == -ENOTDIR) return 0;
    if (target < 0) return target;
    struct stat status;
    bool first = false;
    int *kept = &player->mask;
    int tree;
    if (fstat(target, &status) < 0) {
        tree = -errno;
    } else if (S_ISDIR(status.st_mode)) {
        tree = directory_mask(player, &first);
    } else {
        kept = &player->null;
        tree = file_mask(player, &first);
    }
    int result = tree < 0 ? tree : mlr_attach(tree, target);
    if (tree >= 0 && first && result == 0) *kept = tree;
    else if (tree >= 0) close(tree);
    close(target);
    return result;
}

int mlr_step_read_only(struct player *player, const struct mlr_step *step) {
    int target = mlr_in_root(player, step->path, O_PATH, 0);
    if (target == -ENOENT || target == -ENOTDIR) return 0;
    if (target < 0) return target;
    int tree = mlr_clone_tree(target, DEEP);
    int result = tree < 0 ? tree : mlr_set_mount(tree, DEEP, ATTRIBUTE_READ_ONLY, 0, 0);
    if (result == 0) result = mlr_attach(tree, target);
    if (tree >= 0) close(tree);
    close(target);
    return result;
}

