/* Pseudo-terminals. */
#include "result.h"

int mlr_open_pty(int *controller, char *name, size_t room) {
    int descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0) return -errno;
    int unlocked = 0, number;
    if (ioctl(descriptor, TIOCSPTLCK, &unlocked) < 0 || ioctl(descriptor, TIOCGPTN, &number) < 0) {
        int failure = -errno;
        close(descriptor);
        return failure;
    }
    snprintf(name, room, "/dev/pts/%d", number);
    *controller = descriptor;
    return 0;
}

int mlr_pty_peer(int controller, int flags) { RESULT(ioctl(controller, TIOCGPTPEER, flags | O_CLOEXEC)); }

int mlr_get_window_size(int descriptor, unsigned short *rows, unsigned short *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0) return -errno;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

int mlr_set_window_size(int descriptor, unsigned short rows, unsigned short columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    RESULT(ioctl(descriptor, TIOCSWINSZ, &size));
}
