/* Paths of the container, resolved once, below its root, to a descriptor; and a procfs nobody else can touch. */
#include "player.h"

#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>

size_t mlr_append(char *buffer, size_t room, size_t used, const char *text) {
    while (*text && used + 1 < room) buffer[used++] = *text++;
    buffer[used < room ? used : room - 1] = 0;
    return used;
}

size_t mlr_append_number(char *buffer, size_t room, size_t used, unsigned long number) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = 0;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return mlr_append(buffer, room, used, digits + at);
}

static int open_below(int directory, const char *path, int flags, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = resolve};
    for (int attempt = 0; attempt < 128; attempt++) {
        long result = syscall(SYS_openat2, directory, path, &how, sizeof how);
        // A rename on the way makes the kernel unsure that a ".." stayed inside; only a retry can tell.
        if (result >= 0 || (errno != EAGAIN && errno != EINTR)) return result < 0 ? -errno : (int)result;
    }
    return -EAGAIN;
}

static const char *relative(const char *path) {
    while (*path == '/') path++;
    return *path ? path : ".";
}

int mlr_in_root(struct player *player, const char *path, int flags, uint64_t further_resolve) {
    return open_below(
        player->root, relative(path), flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | further_resolve);
}

/* Opens the longest part of a path that is there; *rest is what remains of it. */
static int open_present_part(struct player *player, const char *path, const char **rest, uint64_t resolve) {
    char prefix[PATH_MAX];
    path = relative(path);
    size_t length = strlen(path);
    if (length >= sizeof prefix) return -ENAMETOOLONG;
    memcpy(prefix, path, length + 1);
    for (;;) {
        int opened = mlr_in_root(player, prefix, O_PATH, resolve);
        if (opened != -ENOENT) {
            *rest = relative(path + length);
            return opened;
        }
        while (length > 0 && prefix[length - 1] != '/') length--;
        while (length > 0 && prefix[length - 1] == '/') length--;
        prefix[length] = 0;
        if (length == 0) {
            *rest = path;
            return mlr_in_root(player, ".", O_PATH, 0);
        }
    }
}

static int enter_new_directory(int directory, const char *name) {
    if (mkdirat(directory, name, 0755) < 0) return -errno;
    RESULT(openat(directory, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
}

static int enter_new_file(int directory, const char *name) {
    int opened = openat(directory, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (opened < 0) return -errno;
    close(opened);
    RESULT(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

/* Makes what is missing of a path, component by component through descriptors. Consumes `directory` unless the first
   component is there already (-EEXIST); -EAGAIN if somebody else makes a later one meanwhile. */
static int make_rest(int directory, const char *rest, bool file) {
    for (bool first = true; *rest && strcmp(rest, ".") != 0; first = false) {
        char component[NAME_MAX + 1];
        size_t length = strcspn(rest, "/");
        const char *next = rest + length;
        while (*next == '/') next++;
        int entered = -ENAMETOOLONG;
        if (length <= NAME_MAX) {
            memcpy(component, rest, length);
            component[length] = 0;
            entered = strcmp(component, "..") == 0 ? -EINVAL
                      : *next == 0 && file         ? enter_new_file(directory, component)
                                                   : enter_new_directory(directory, component);
        }
        if (first && entered == -EEXIST) return entered;
        close(directory);
        if (entered < 0) return entered == -EEXIST ? -EAGAIN : entered;
        directory = entered;
        rest = next;
    }
    return directory;
}

/* Where a link that leads nowhere yet would lead: the path with the link's text in the place of its name. `rest` begins with
   that name, and points into `path`. */
static int expand_link(const char *path, const char *rest, const char *link, char *expanded, size_t room) {
    size_t prefix = link[0] == '/' ? 0 : (size_t)(rest - path);
    const char *behind = rest + strcspn(rest, "/");
    if (prefix + strlen(link) + strlen(behind) + 2 > room) return -ENAMETOOLONG;
    memcpy(expanded, path, prefix);
    expanded[prefix] = 0;
    size_t used = mlr_append(expanded, room, prefix, link);
    mlr_append(expanded, room, used, behind);
    return 0;
}

static ssize_t read_link(int directory, const char *rest, char *link, size_t room) {
    char name[NAME_MAX + 1];
    size_t length = strcspn(rest, "/");
    if (length == 0 || length > NAME_MAX) return -1;
    memcpy(name, rest, length);
    name[length] = 0;
    ssize_t got = readlinkat(directory, name, link, room - 1);
    if (got >= 0) link[got] = 0;
    return got;
}

int mlr_make_target(struct player *player, const char *path, bool file, uint64_t further_resolve) {
    char current[PATH_MAX], expanded[PATH_MAX], link[PATH_MAX];
    if (strlen(path) >= sizeof current) return -ENAMETOOLONG;
    memcpy(current, path, strlen(path) + 1);
    // As an image's etc/resolv.conf, which leads to where only a running system has a file.
    for (int links = 0; links < 8; links++) {
        const char *rest;
        int opened = open_present_part(player, current, &rest, further_resolve);
        if (opened < 0) return opened;
        int made = make_rest(opened, rest, file);
        if (made == -EAGAIN) continue;
        if (made != -EEXIST) return made;
        // A link that leads nowhere yet; or somebody else has made it meanwhile, and the path is looked up again.
        bool is_link = read_link(opened, rest, link, sizeof link) >= 0;
        close(opened);
        if (!is_link) continue;
        if (further_resolve & RESOLVE_NO_SYMLINKS) return -ELOOP;
        int result = expand_link(current, rest, link, expanded, sizeof expanded);
        if (result < 0) return result;
        memcpy(current, expanded, strlen(expanded) + 1);
    }
    return -ELOOP;
}

static int look_up_target(struct player *player, const struct mlr_step *step, bool file, uint64_t resolve) {
    if (step->flags & MLR_TARGET_IS_LINK) {
        int link = mlr_in_root(player, step->path, O_PATH | O_NOFOLLOW, resolve);
        if (link != -ENOENT) return link;
    }
    return mlr_make_target(player, step->path, file, resolve);
}

static bool is_below_proc(const char *path) {
    path = relative(path);
    return strncmp(path, "proc", 4) == 0 && (path[4] == 0 || path[4] == '/');
}

/* Where a mount goes. With MLR_TARGET_IS_LINK a link at the end of the path is the place itself. */
int mlr_mount_target(struct player *player, const struct mlr_step *step, bool file) {
    int target = look_up_target(player, step, file, RESOLVE_NO_SYMLINKS);
    if (target != -ELOOP) return target;
    if (step->flags & MLR_TARGET_IS_STRICT) {
        mlr_detail(player, "a symbolic link of the image is in its way");
        return target;
    }
    target = look_up_target(player, step, file, 0);
    // The programs of a container, and whoever masks parts of it, take /proc for the kernel's; a volume must not be it because
    // the image says so.
    struct statfs system;
    if (target < 0 || is_below_proc(step->path)) return target;
    int result = fstatfs(target, &system) < 0 ? -errno : system.f_type == PROC_SUPER_MAGIC ? -ELOOP : 0;
    if (result == 0) return target;
    if (result == -ELOOP) mlr_detail(player, "a symbolic link of the image leads into /proc");
    close(target);
    return result;
}

int mlr_make_parent(struct player *player, const char *path, const char **name) {
    char parent[PATH_MAX];
    const char *clean = relative(path);
    const char *slash = strrchr(clean, '/');
    *name = slash ? slash + 1 : clean;
    if (**name == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) return -EINVAL;
    size_t length = slash ? (size_t)(slash - clean) : 0;
    if (length >= sizeof parent) return -ENAMETOOLONG;
    memcpy(parent, clean, length);
    parent[length] = 0;
    if (player->parent >= 0 && strcmp(parent, player->parent_path) == 0) return player->parent;
    mlr_forget_parent(player);
    player->parent = mlr_make_target(player, parent, false, 0);
    // A name that is too long to be kept is no name that another could equal.
    if (mlr_append(player->parent_path, sizeof player->parent_path, 0, parent) < length) player->parent_path[0] = '/';
    return player->parent;
}

void mlr_forget_parent(struct player *player) {
    if (player->parent >= 0) close(player->parent);
    player->parent = -1;
    player->knows_owner = false;
}

static int is_procfs_root(int descriptor) {
    struct statfs system;
    struct stat status;
    if (fstatfs(descriptor, &system) < 0 || fstat(descriptor, &status) < 0) return -errno;
    return system.f_type == PROC_SUPER_MAGIC && status.st_ino == 1 ? 0 : -EXDEV;
}

int mlr_procfs(struct player *player) {
    if (player->procfs >= 0) return player->procfs;
    int context = (int)syscall(SYS_fsopen, "proc", 1 /* FSOPEN_CLOEXEC */);
    if (context >= 0) {
        if (syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) == 0)
            player->procfs = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 0);
        close(context);
    }
    if (player->procfs < 0) {
        // A user namespace below a masked /proc may not mount another: then the one that is there, if it is one.
        int opened = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (opened < 0) return -errno;
        int verdict = is_procfs_root(opened);
        if (verdict < 0) {
            close(opened);
            return verdict;
        }
        player->procfs = opened;
    }
    return player->procfs;
}

static int write_once(int descriptor, const char *text) {
    size_t length = strlen(text);
    ssize_t written = write(descriptor, text, length);
    int result = written < 0 ? -errno : written == (ssize_t)length ? 0 : -EIO;
    close(descriptor);
    return result;
}

int mlr_write_procfs(struct player *player, const char *path, const char *text) {
    int procfs = mlr_procfs(player);
    if (procfs < 0) return procfs;
    int opened = open_below(procfs, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
    return opened < 0 ? opened : write_once(opened, text);
}

/* "self" is a link; the number behind it depends on which pid namespace this procfs shows. */
static int own_path(struct player *player, const char *path, char *full, size_t room) {
    int procfs = mlr_procfs(player);
    if (procfs < 0) return procfs;
    ssize_t length = readlinkat(procfs, "self", full, 32);
    if (length < 0) return -errno;
    full[length] = 0;
    size_t used = mlr_append(full, room, (size_t)length, "/");
    mlr_append(full, room, used, path);
    return procfs;
}

int mlr_write_own_procfs(struct player *player, const char *path, const char *text) {
    char full[128];
    int procfs = own_path(player, path, full, sizeof full);
    return procfs < 0 ? procfs : mlr_write_procfs(player, full, text);
}

int mlr_open_own_procfs(struct player *player, const char *path, int flags) {
    char full[128];
    int procfs = own_path(player, path, full, sizeof full);
    if (procfs < 0) return procfs;
    RESULT(openat(procfs, full, flags | O_CLOEXEC));
}
