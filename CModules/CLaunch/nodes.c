/* Device nodes, links, and what hides or protects paths of the container. */
#include "player.h"

#include <sys/sysmacros.h>

enum { ATTRIBUTE_READ_ONLY = 1, DEEP = 0x8000 /* AT_RECURSIVE */ };

/* Whether a node that was made is whose it is to be; the kernel gives all of one directory the same owner and group. */
static bool is_owned(struct player *player, int parent, const char *name, const struct mlr_step *step) {
    struct stat status;
    if (!player->knows_owner && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        player->knows_owner = true;
        player->owner = status.st_uid;
        player->group = status.st_gid;
    }
    return player->knows_owner && player->owner == step->owner && player->group == step->group;
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
    } else if (!is_owned(player, parent, name, step) &&
               fchownat(parent, name, step->owner, step->group, AT_SYMLINK_NOFOLLOW) < 0) {
        result = -errno;
    }
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
    // It is the host's own: a container's root must not change its mode or owner. Reading and writing a device needs no
    // writable mount.
    int tree = mlr_clone_changed(opened, 0, ATTRIBUTE_READ_ONLY, 1 << 18 /* MS_PRIVATE */);
    close(opened);
    return tree;
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
    int tree = mlr_clone_changed(target, DEEP, ATTRIBUTE_READ_ONLY, 0);
    int result = tree < 0 ? tree : mlr_attach(tree, target);
    if (tree >= 0) close(tree);
    close(target);
    return result;
}

