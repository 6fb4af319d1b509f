/* What the host shows in a container: clones of its mounts. */
#include "player.h"

#include <sys/mount.h>

enum { OPEN_TREE_CLONE_ = 1, DEEP = 0x8000 /* AT_RECURSIVE */, NOFOLLOW = 0x100 /* AT_SYMLINK_NOFOLLOW */ };
enum { ATTRIBUTE_IDMAP = 0x00100000 };

struct change {
    const char *what;
    bool deep;
    struct mlr_attributes attributes;
};

enum { MOST_CHANGES = 6 };

static size_t changes_of(const struct mlr_bind *bind, struct change *changes) {
    size_t count = 0;
    if (bind->user_namespace >= 0)
        changes[count++] = (struct change){
            "map the owners of", bind->maps_deep, {ATTRIBUTE_IDMAP, 0, 0, (uint64_t)bind->user_namespace}};
    if (bind->set || bind->clear)
        changes[count++] = (struct change){"set the attributes of", false, {bind->set, bind->clear, 0, 0}};
    if (bind->deep_set || bind->deep_clear)
        changes[count++] = (struct change){"set the attributes of", true, {bind->deep_set, bind->deep_clear, 0, 0}};
    for (size_t i = 0; i < 3 && bind->propagation[i]; i++)
        changes[count++] = (struct change){
            "set the propagation of", bind->propagation[i] & MS_REC, {0, 0, bind->propagation[i] & ~(uint64_t)MS_REC, 0}};
    return count;
}

int mlr_open_bind(const struct mlr_bind *bind, const char **failed) {
    unsigned flags = OPEN_TREE_CLONE_ | O_CLOEXEC | (bind->recursive ? DEEP : 0) | (bind->is_link ? NOFOLLOW : 0);
    struct change changes[MOST_CHANGES];
    size_t count = changes_of(bind, changes), done = 0;
    int tree = -ENOSYS;
    // The first change comes with the clone where it goes as deep; why that failed is told by the two calls it stands for.
    if (count > 0 && bind->user_namespace < 0 && (changes[0].deep || !bind->recursive)) {
        tree = mlr_open_changed(AT_FDCWD, bind->source, flags, changes[0].attributes);
        done = tree < 0 ? 0 : 1;
    }
    *failed = "open";
    if (tree < 0) tree = (int)syscall(SYS_open_tree, AT_FDCWD, bind->source, flags);
    if (tree < 0) return -errno;
    for (; done < count; done++) {
        *failed = changes[done].what;
        unsigned depth = AT_EMPTY_PATH | (changes[done].deep ? DEEP : 0);
        struct mlr_attributes *attributes = &changes[done].attributes;
        if (syscall(SYS_mount_setattr, tree, "", depth, attributes, sizeof *attributes) == 0) continue;
        // Nobody sees the clone: what was changed of it needs no undoing.
        int failure = -errno;
        close(tree);
        return failure;
    }
    *failed = NULL;
    return tree;
}

struct locked_bind {
    int namespace, tree;
    const struct mlr_bind *bind;
    const char *failed;
};

static int open_locked(void *argument) {
    struct locked_bind *locked = argument;
    locked->failed = "enter the locked copy of the host's mounts to open";
    locked->tree = setns(locked->namespace, CLONE_NEWNS) < 0 ? -errno : mlr_open_bind(locked->bind, &locked->failed);
    return 0;
}

int mlr_open_bind_in(int namespace, const struct mlr_bind *bind, const char **failed) {
    struct locked_bind locked = {.namespace = namespace, .tree = -EIO, .bind = bind, .failed = "open"};
    int result = mlr_run_apart(open_locked, &locked, 0);
    *failed = locked.failed;
    return result < 0 ? result : locked.tree;
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
    int target = fstat(tree, &status) < 0 ? -errno : mlr_mount_target(player, step, !S_ISDIR(status.st_mode));
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
