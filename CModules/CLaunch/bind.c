/* What the host shows in a container: clones of its mounts. */
#include "player.h"

#include <sys/mount.h>

enum { OPEN_TREE_CLONE_ = 1, DEEP = 0x8000 /* AT_RECURSIVE */, NOFOLLOW = 0x100 /* AT_SYMLINK_NOFOLLOW */ };

struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

static int change(int tree, bool deep, struct attributes attributes) {
    unsigned flags = AT_EMPTY_PATH | (deep ? DEEP : 0);
    RESULT(syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes));
}

/* A failure in the middle leaves the clone, which nobody sees, to be closed. */
static int prepare(int tree, const struct mlr_bind *bind, const char **failed) {
    int result = 0;
    *failed = "map the owners of";
    if (bind->user_namespace >= 0)
        result = change(tree, bind->maps_deep, (struct attributes){0x00100000, 0, 0, (uint64_t)bind->user_namespace});
    if (result < 0) return result;
    *failed = "set the attributes of";
    if (bind->set || bind->clear) result = change(tree, false, (struct attributes){bind->set, bind->clear, 0, 0});
    if (result == 0 && (bind->deep_set || bind->deep_clear))
        result = change(tree, true, (struct attributes){bind->deep_set, bind->deep_clear, 0, 0});
    if (result < 0) return result;
    *failed = "set the propagation of";
    for (size_t i = 0; i < 3 && bind->propagation[i] && result == 0; i++) {
        uint64_t propagation = bind->propagation[i];
        result = change(tree, propagation & MS_REC, (struct attributes){0, 0, propagation & ~(uint64_t)MS_REC, 0});
    }
    return result;
}

int mlr_open_bind(const struct mlr_bind *bind, const char **failed) {
    unsigned flags = OPEN_TREE_CLONE_ | O_CLOEXEC | (bind->recursive ? DEEP : 0) | (bind->is_link ? NOFOLLOW : 0);
    *failed = "open";
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, bind->source, flags);
    if (tree < 0) return -errno;
    int result = prepare(tree, bind, failed);
    if (result < 0) {
        close(tree);
        return result;
    }
    *failed = NULL;
    return tree;
}

int mlr_step_bind(struct player *player, const struct mlr_step *step) {
    const char *failed = NULL;
    int tree = step->descriptor >= 0 ? step->descriptor : mlr_open_bind(step->data, &failed);
    if (tree < 0) {
        char text[128];
        size_t used = mlr_append(text, sizeof text, 0, "cannot ");
        mlr_append(text, sizeof text, used, failed);
        mlr_detail(player, text);
        return tree;
    }
    struct stat status, covered;
    int target = fstat(tree, &status) < 0 ? -errno : mlr_mount_target(player, step, !S_ISDIR(status.st_mode), 0);
    int result = target < 0 ? target : fstat(target, &covered) < 0 ? -errno : 0;
    if (result == 0 && S_ISDIR(status.st_mode) != S_ISDIR(covered.st_mode)) {
        result = -ENOTDIR;
        mlr_detail(player, "one of them is a directory, the other is none");
    }
    if (result == 0) result = mlr_attach(tree, target);
    if (target >= 0) close(target);
    close(tree);
    return result;
}
