/* Copies a directory into a new file system: what tmpcopyup asks for. No memory is allocated, no link followed. */
#include "player.h"

#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

enum { DEEPEST = 100 };

struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static int copy_directory(int from, int into, int depth);

/* Labels and file capabilities, as far as the new file system takes them. */
static void copy_attributes(int from, int into) {
    char names[512], value[1024];
    ssize_t length = flistxattr(from, names, sizeof names);
    for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size >= 0) (void)!fsetxattr(into, name, value, (size_t)size, 0);
    }
}

/* The owner before the mode, which a change of owner would take set-id bits from. */
static int copy_owner(int from, int into, const struct stat *status) {
    if (fchown(into, status->st_uid, status->st_gid) < 0) return -errno;
    if (fchmod(into, status->st_mode & 07777) < 0) return -errno;
    copy_attributes(from, into);
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    RESULT(futimens(into, times));
}

static int copy_content(int from, int into) {
    for (;;) {
        ssize_t moved = sendfile(into, from, NULL, 1 << 20);
        if (moved == 0) return 0;
        if (moved < 0 && errno != EINTR) return -errno;
    }
}

static int copy_file(int from, int into, const char *name) {
    // What is looked at and what is read is one file, whatever is exchanged meanwhile.
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (source < 0) return -errno;
    struct stat status;
    int result = fstat(source, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EAGAIN;
    int copy = result < 0 ? result : openat(into, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (copy < 0 && result == 0) result = -errno;
    if (result == 0) result = copy_content(source, copy);
    if (result == 0) result = copy_owner(source, copy, &status);
    if (copy >= 0) close(copy);
    close(source);
    return result;
}

static int copy_link(int from, int into, const char *name, const struct stat *status) {
    char target[4096];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0) return -errno;
    target[length] = 0;
    if (symlinkat(target, into, name) < 0) return -errno;
    RESULT(fchownat(into, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW));
}

static int copy_node(int into, const char *name, const struct stat *status) {
    if (mknodat(into, name, status->st_mode, status->st_rdev) < 0) return -errno;
    RESULT(fchownat(into, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW));
}

static int copy_inner(int from, int into, const char *name, int depth) {
    if (depth >= DEEPEST) return -ENAMETOOLONG;
    int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0) return -errno;
    struct stat status;
    int copy = -1, result = fstat(source, &status) < 0 || mkdirat(into, name, 0700) < 0 ? -errno : 0;
    if (result == 0) {
        copy = openat(into, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (copy < 0) result = -errno;
    }
    if (result == 0) result = copy_directory(source, copy, depth + 1);
    if (result == 0) result = copy_owner(source, copy, &status);
    if (copy >= 0) close(copy);
    close(source);
    return result;
}

static int copy_entry(int from, int into, const char *name, int depth) {
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : -errno;
    switch (status.st_mode & S_IFMT) {
    case S_IFDIR: return copy_inner(from, into, name, depth);
    case S_IFREG: return copy_file(from, into, name);
    case S_IFLNK: return copy_link(from, into, name, &status);
    default: return copy_node(into, name, &status);
    }
}

static int copy_directory(int from, int into, int depth) {
    _Alignas(struct entry) char buffer[2048];
    for (;;) {
        long got = syscall(SYS_getdents64, from, buffer, sizeof buffer);
        if (got <= 0) return got < 0 ? -errno : 0;
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(buffer + at);
            at += entry->length;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
            int result = copy_entry(from, into, entry->name, depth);
            if (result < 0) return result;
        }
    }
}

/* `from` is a place in the container, `into` the root of a mount; either may be an O_PATH descriptor. */
int mlr_copy_up(int from, int into) {
    int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source < 0) return -errno;
    int copy = openat(into, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = copy < 0 ? -errno : copy_directory(source, copy, 0);
    if (copy >= 0) close(copy);
    close(source);
    return result;
}
