/*
 * The socket agent: one tiny process beside each replica. It lives in the replica's network (and user) namespace,
 * without any privilege, and does two things for as long as the replica lives, whoever else dies:
 * it makes sockets inside that namespace and hands them out, and it writes down how the replica ended.
 *
 * It is a clone of its caller that never calls execve(2) and uses nothing but system calls: it closes every other
 * descriptor, gives up its user, groups and capabilities, and confines itself with a seccomp filter of a dozen calls.
 */
#ifndef MLR_AGENT_H
#define MLR_AGENT_H

#include <stddef.h>
#include <stdint.h>

struct mlr_agent {
    /* Its end of a SOCK_SEQPACKET pair. A client sends the byte 'T' and receives the byte 0 with a non-blocking IPv4
       TCP socket attached, or one byte that is an error number. */
    int socket_;
    /* Namespaces to join; -1 for none. */
    int user_namespace, network_namespace;
    /* A pidfd of the replica's first process and a file for its end; -1 for neither. When the process is gone the
       agent writes "<wait status> <CLOCK_REALTIME nanoseconds>\n" there. Needs PIDFD_INFO_EXIT (Linux 6.15); on older
       kernels the file stays empty. */
    int process, exit_file;
    /* The user and group it becomes, as numbers inside the user namespace. */
    unsigned uid, gid;
    /* What ps(1) shows: the caller's argument area, overwritten in the agent only. NULL leaves it as it is. */
    char *title;
    size_t title_room;
};

/* Where an agent that could not start failed. */
enum mlr_agent_step {
    MLR_AGENT_CLONE = 1,
    MLR_AGENT_JOIN_USER_NAMESPACE,
    MLR_AGENT_JOIN_NETWORK_NAMESPACE,
    MLR_AGENT_CLOSE_DESCRIPTORS,
    MLR_AGENT_DROP_PRIVILEGES,
    MLR_AGENT_CONFINE,
    MLR_AGENT_DIED,
};

/* Starts an agent and waits until it serves. `client` is the caller's end of the pair, on which the agent announces
   itself. Returns its process number and fills *pidfd, or returns -errno and fills *step. */
int mlr_agent_start(const struct mlr_agent *agent, int client, int *pidfd, int *step);

/* Asks an agent for a socket; blocks until the answer is there. Returns the descriptor or -errno. */
int mlr_agent_socket(int client);

#endif
