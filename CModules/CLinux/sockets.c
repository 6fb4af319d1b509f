/* Sockets, also in other network namespaces, and descriptors sent through them. */
#include "result.h"

struct namespace_socket {
    int network_namespace, domain, type, protocol, result;
};

static void *create_namespace_socket(void *argument) {
    struct namespace_socket *request = argument;
    if (setns(request->network_namespace, CLONE_NEWNET) < 0) {
        request->result = -errno;
        return NULL;
    }
    int descriptor = socket(request->domain, request->type | SOCK_CLOEXEC, request->protocol);
    request->result = descriptor < 0 ? -errno : descriptor;
    return NULL;
}

int mlr_socket_in_namespace(int network_namespace, int domain, int type, int protocol) {
    struct namespace_socket request = {network_namespace, domain, type, protocol, -EIO};
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    int failure = pthread_create(&thread, &attributes, create_namespace_socket, &request);
    pthread_attr_destroy(&attributes);
    if (failure) return -failure;
    pthread_join(thread, NULL);
    return request.result;
}

int mlr_socket(int domain, int type, int protocol) { RESULT(socket(domain, type | SOCK_CLOEXEC, protocol)); }

int mlr_socketpair(int domain, int type, int ends[2]) { RESULT(socketpair(domain, type | SOCK_CLOEXEC, 0, ends)); }

static int unix_address(const char *path, struct sockaddr_un *address) {
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->sun_path) return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    return 0;
}

int mlr_bind_unix(int socket_, const char *path) {
    struct sockaddr_un address;
    int failure = unix_address(path, &address);
    if (failure) return failure;
    RESULT(bind(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_connect_unix(int socket_, const char *path) {
    struct sockaddr_un address;
    int failure = unix_address(path, &address);
    if (failure) return failure;
    RESULT(connect(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_connect_abstract_unix(int socket_, const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path + 1, name, length);
    RESULT(connect(socket_, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
}

static struct sockaddr_in ipv4_address(uint32_t address, uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(address)}};
}

int mlr_bind_ipv4(int socket_, uint32_t address_host_order, uint16_t port) {
    struct sockaddr_in address = ipv4_address(address_host_order, port);
    RESULT(bind(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_canonical_ipv6(const char *text, char *canonical, size_t room) {
    struct in6_addr address;
    if (inet_pton(AF_INET6, text, &address) != 1) return -EINVAL;
    return inet_ntop(AF_INET6, &address, canonical, (socklen_t)room) ? 0 : -errno;
}

int mlr_bind_ipv6(int socket_, const char *text, uint16_t port) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, text, &address.sin6_addr) != 1) return -EINVAL;
    // IPv4 is bound by itself.
    int on = 1;
    if (setsockopt(socket_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) return -errno;
    RESULT(bind(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_connect_ipv4(int socket_, uint32_t address_host_order, uint16_t port) {
    struct sockaddr_in address = ipv4_address(address_host_order, port);
    RESULT(connect(socket_, (struct sockaddr *)&address, sizeof address));
}

int mlr_local_port(int socket_) {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address;
    socklen_t length = sizeof address;
    if (getsockname(socket_, &address.any, &length) < 0) return -errno;
    if (address.any.sa_family == AF_INET6) return ntohs(address.six.sin6_port);
    if (address.any.sa_family != AF_INET) return -EAFNOSUPPORT;
    return ntohs(address.four.sin_port);
}

int mlr_listen(int socket_, int backlog) { RESULT(listen(socket_, backlog)); }
int mlr_accept(int socket_, int flags) { RESULT(accept4(socket_, NULL, NULL, flags | SOCK_CLOEXEC)); }

int mlr_set_socket_option(int socket_, int level, int name, int value) {
    RESULT(setsockopt(socket_, level, name, &value, sizeof value));
}

int mlr_get_socket_option(int socket_, int level, int name, int *value) {
    int result;
    socklen_t length = sizeof result;
    if (getsockopt(socket_, level, name, &result, &length) < 0) return -errno;
    *value = result;
    return 0;
}

enum { MOST_DESCRIPTORS = 64 };

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
};

int64_t mlr_send_descriptors(int socket_, const void *data, size_t length, const int *descriptors, size_t count,
                             int flags) {
    if (count > MOST_DESCRIPTORS) return -EINVAL;
    union control control;
    struct iovec vector = {(void *)data, length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    RESULT(sendmsg(socket_, &message, flags | MSG_NOSIGNAL));
}

int64_t mlr_receive_descriptors(int socket_, void *data, size_t length, int *descriptors, size_t *count, int flags) {
    union control control;
    struct iovec vector = {data, length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(socket_, &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0) return -errno;
    size_t received = 0;
    bool cut = message.msg_flags & (MSG_CTRUNC | MSG_TRUNC);
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (!cut && received < *count) {
                descriptors[received++] = descriptor;
            } else {
                close(descriptor);
                cut = true;
            }
        }
    }
    if (cut) {
        for (size_t i = 0; i < received; i++) close(descriptors[i]);
        *count = 0;
        return -EMSGSIZE;
    }
    *count = received;
    return got;
}

int mlr_peer_credentials(int socket_, int *pid, unsigned *uid, unsigned *gid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket_, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}
