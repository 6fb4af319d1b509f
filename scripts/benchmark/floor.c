// floor HOST PORT DIRECTORY gzip|zstd PATH...: the least that bringing layers to disk can take on this machine. Each blob is received
// by one connection, hashed and inflated by one thread, and written past the page cache by another; nothing is unpacked, no second
// hash is taken. At most four blobs at once, in the order given.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

enum { PIECE = 256 << 10, BLOCK = 1 << 20, BLOCKS = 8, ATONCE = 4 };

static struct sockaddr_in address;
static const char *directory;
static bool isZstd;
static char **paths;
static int pathCount, nextPath;
static pthread_mutex_t nextLock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    exit(1);
}

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t lengths[BLOCKS];
    unsigned filled, emptied;
    bool complete;
    unsigned char *memory;
    int file;
};

static void *writeOut(void *argument) {
    struct ring *ring = argument;
    off_t offset = 0;
    for (;;) {
        pthread_mutex_lock(&ring->lock);
        while (ring->filled == ring->emptied && !ring->complete) pthread_cond_wait(&ring->changed, &ring->lock);
        bool isOver = ring->filled == ring->emptied;
        pthread_mutex_unlock(&ring->lock);
        if (isOver) break;
        unsigned number = ring->emptied % BLOCKS;
        unsigned char *block = ring->memory + (size_t)number * BLOCK;
        size_t length = ring->lengths[number], whole = (length + 4095) & ~(size_t)4095;
        memset(block + length, 0, whole - length);
        if (pwrite(ring->file, block, whole, offset) != (ssize_t)whole) fail("write: %s", strerror(errno));
        offset += whole;
        pthread_mutex_lock(&ring->lock);
        ring->emptied++;
        pthread_cond_signal(&ring->changed);
        pthread_mutex_unlock(&ring->lock);
    }
    if (fsync(ring->file) != 0) fail("fsync: %s", strerror(errno));
    return NULL;
}

static unsigned char *acquire(struct ring *ring) {
    pthread_mutex_lock(&ring->lock);
    while (ring->filled - ring->emptied == BLOCKS) pthread_cond_wait(&ring->changed, &ring->lock);
    pthread_mutex_unlock(&ring->lock);
    return ring->memory + (size_t)(ring->filled % BLOCKS) * BLOCK;
}

static void publish(struct ring *ring, size_t length) {
    pthread_mutex_lock(&ring->lock);
    ring->lengths[ring->filled % BLOCKS] = length;
    ring->filled++;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
}

// Reads the head of the answer; returns the bytes of the body that came with it.
static size_t request(int connection, const char *path, unsigned char *piece, long long *size) {
    char text[512];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n", path);
    if (write(connection, text, length) != length) fail("send: %s", strerror(errno));
    size_t fill = 0;
    for (;;) {
        ssize_t got = recv(connection, piece + fill, PIECE - 1 - fill, 0);
        if (got <= 0) fail("%s: no answer", path);
        fill += got;
        piece[fill] = 0;
        char *end = strstr((char *)piece, "\r\n\r\n");
        if (!end) continue;
        char *announced = strcasestr((char *)piece, "content-length:");
        if (strncmp((char *)piece, "HTTP/1.1 200", 12) != 0 || !announced || announced > end) fail("%s: %.40s", path, piece);
        *size = atoll(announced + 15);
        size_t rest = fill - ((unsigned char *)end + 4 - piece);
        memmove(piece, end + 4, rest);
        return rest;
    }
}

static void fetch(const char *path, int number) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%d", directory, number);
    struct ring ring = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    ring.file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (ring.file < 0) fail("%s: %s", name, strerror(errno));
    ring.memory = aligned_alloc(4096, (size_t)BLOCK * BLOCKS);
    unsigned char *piece = malloc(PIECE);
    pthread_t writer;
    pthread_create(&writer, NULL, writeOut, &ring);

    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) fail("connect: %s", strerror(errno));
    long long size = 0, received = 0;
    size_t got = request(connection, path, piece, &size);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    struct inflate_state *gzip = malloc(sizeof *gzip);
    isal_inflate_init(gzip);
    gzip->crc_flag = ISAL_GZIP;
    ZSTD_DCtx *zstd = ZSTD_createDCtx();

    unsigned char *block = acquire(&ring);
    size_t fill = 0;
    for (;;) {
        received += got;
        EVP_DigestUpdate(hash, piece, got);
        ZSTD_inBuffer input = {piece, got, 0};
        for (;;) {
            size_t before = fill;
            if (isZstd) {
                ZSTD_outBuffer output = {block, BLOCK, fill};
                size_t result = ZSTD_decompressStream(zstd, &output, &input);
                if (ZSTD_isError(result)) fail("%s: %s", path, ZSTD_getErrorName(result));
                fill = output.pos;
            } else {
                gzip->next_in = piece + input.pos;
                gzip->avail_in = got - input.pos;
                gzip->next_out = block + fill;
                gzip->avail_out = BLOCK - fill;
                int result = isal_inflate(gzip);
                if (result < 0) fail("%s: inflate %d", path, result);
                input.pos = got - gzip->avail_in;
                fill = BLOCK - gzip->avail_out;
                if (gzip->block_state == ISAL_BLOCK_FINISH) input.pos = got;
            }
            bool isFull = fill == BLOCK;
            if (isFull) {
                publish(&ring, fill);
                block = acquire(&ring);
                fill = 0;
            }
            if (!isFull && (input.pos == got || fill == before)) break;
        }
        if (received == size) break;
        ssize_t more = recv(connection, piece, PIECE, 0);
        if (more <= 0) fail("%s: ends after %lld of %lld bytes", path, received, size);
        got = more;
    }
    if (fill > 0) publish(&ring, fill);
    pthread_mutex_lock(&ring.lock);
    ring.complete = true;
    pthread_cond_signal(&ring.changed);
    pthread_mutex_unlock(&ring.lock);
    pthread_join(writer, NULL);
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(hash, digest, NULL);
    char hex[65];
    for (int index = 0; index < 32; index++) sprintf(hex + index * 2, "%02x", digest[index]);
    if (!strstr(path, hex)) fail("%s: the digest is %s", path, hex);
    close(connection);
    close(ring.file);
    EVP_MD_CTX_free(hash);
    ZSTD_freeDCtx(zstd);
    free(gzip);
    free(piece);
    free(ring.memory);
}

static void *work(void *unused) {
    for (;;) {
        pthread_mutex_lock(&nextLock);
        int number = nextPath < pathCount ? nextPath++ : -1;
        pthread_mutex_unlock(&nextLock);
        if (number < 0) return unused;
        fetch(paths[number], number);
    }
}

int main(int count, char **arguments) {
    if (count < 6) fail("usage: floor HOST PORT DIRECTORY gzip|zstd PATH...");
    address.sin_family = AF_INET;
    address.sin_port = htons(atoi(arguments[2]));
    if (inet_pton(AF_INET, arguments[1], &address.sin_addr) != 1) fail("%s is no IPv4 address", arguments[1]);
    directory = arguments[3];
    isZstd = strcmp(arguments[4], "zstd") == 0;
    paths = arguments + 5;
    pathCount = count - 5;
    pthread_t workers[ATONCE];
    for (int index = 0; index < ATONCE; index++) pthread_create(&workers[index], NULL, work, NULL);
    for (int index = 0; index < ATONCE; index++) pthread_join(workers[index], NULL);
    return 0;
}
