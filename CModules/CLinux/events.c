/* What an event loop waits for. */
#include "result.h"

int mlr_epoll_create(void) { RESULT(epoll_create1(EPOLL_CLOEXEC)); }

int mlr_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    RESULT(epoll_ctl(epoll, operation, descriptor, &event));
}

int mlr_epoll_wait(int epoll, struct mlr_event *events, int room, int timeout_milliseconds) {
    struct epoll_event raw[64];
    if (room > 64) room = 64;
    int got = epoll_wait(epoll, raw, room, timeout_milliseconds);
    if (got < 0) return -errno;
    for (int i = 0; i < got; i++) events[i] = (struct mlr_event){raw[i].data.u64, raw[i].events};
    return got;
}

int mlr_timerfd_create(void) { RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

int mlr_timerfd_set(int timer, uint64_t deadline_nanoseconds) {
    struct itimerspec when = {
        .it_value = {(time_t)(deadline_nanoseconds / 1000000000), (long)(deadline_nanoseconds % 1000000000)}};
    RESULT(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL));
}

int mlr_eventfd(void) { RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int mlr_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int failure = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failure) return -failure;
    RESULT(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int mlr_signalfd_read(int descriptor) {
    struct signalfd_siginfo information;
    ssize_t got = read(descriptor, &information, sizeof information);
    if (got < 0) return -errno;
    return (int)information.ssi_signo;
}

int mlr_inotify_create(void) { RESULT(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)); }
int mlr_inotify_add(int inotify, const char *path, uint32_t mask) { RESULT(inotify_add_watch(inotify, path, mask)); }

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t mlr_monotonic_nanoseconds(void) { return now(CLOCK_MONOTONIC); }
uint64_t mlr_realtime_nanoseconds(void) { return now(CLOCK_REALTIME); }
