/* The container's terminal, and its root as it is entered. */
#include "player.h"

#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#define DEVPTS_MAGIC 0x1cd1

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
    if (result == 0) result = mlr_send_report(player, MLR_REPORT_CONSOLE, 0, controller);
    close(controller);
    player->terminal = terminal;
    return result;
}

int mlr_step_attach_root(struct player *player, const struct mlr_step *step) {
    int here = open(step->path ? step->path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0) return -errno;
    const char *failed = NULL;
    int tree = step->descriptor >= 0 ? step->descriptor : mlr_open_bind(step->data, &failed);
    int result = tree < 0 ? tree : mlr_attach(tree, here);
    if (failed) mlr_detail(player, failed);
    close(here);
    player->root = tree;
    return result;
}

/* The root is attached over the host's, or in place, so that a change of root is all there is to do. */
static int change_root(struct player *player) {
    if (fchdir(player->root) < 0 || chroot(".") < 0) return -errno;
    RESULT(chdir("/"));
}

int mlr_step_own_root(struct player *player, const struct mlr_step *step) {
    player->root = step->descriptor >= 0 ? step->descriptor : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (player->root < 0) return -errno;
    return step->descriptor >= 0 ? change_root(player) : 0;
}

int mlr_step_enter_root(struct player *player, const struct mlr_step *step) {
    if (step->a) return change_root(player);
    if (fchdir(player->root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    // The old tree lies over the new root now, and is what "." names as a mount (pivot_root(2)). It goes without taking the
    // host's mounts along, of which it is cut off.
    if (umount2(".", MNT_DETACH) < 0) return -errno;
    RESULT(chdir("/"));
}
